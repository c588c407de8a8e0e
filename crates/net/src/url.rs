//! Just enough of RFC 3986: an address in parts, so that a password is never shown and links can be resolved.

use std::fmt;

use base64::Engine as _;

/// An absolute `http` or `https` address. Its [`Display`](fmt::Display) never has the user or the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    secure: bool,
    user: Option<String>,
    host: String,
    port: u16,
    path: String,
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{shown}' is no http or https address: {why}")]
pub struct UrlError {
    shown: String,
    why: &'static str,
}

impl UrlError {
    /// The address, without user and password.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Which rule it breaks.
    pub fn why(&self) -> &'static str {
        self.why
    }
}

impl Url {
    /// Parses; a fragment (`#…`) is dropped.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        Self::parts(text).map_err(|why| UrlError { shown: without_user(text), why })
    }

    fn parts(text: &str) -> Result<Self, &'static str> {
        let text = text.split('#').next().unwrap_or_default();
        if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err("it has a blank or a control character");
        }
        let (scheme, rest) = text.split_once("://").ok_or("it has no scheme")?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err("its scheme is neither http nor https"),
        };
        let (authority, path) = split_authority(rest);
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user.to_owned()), place),
            None => (None, authority),
        };
        let (host, port) = split_port(place)?;
        let port = port.unwrap_or(if secure { 443 } else { 80 });
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { secure, user, host: host.to_ascii_lowercase(), port, path: escape(&path) })
    }

    /// The address that a link in the document at this address means (RFC 3986, section 5.2).
    pub fn join(&self, link: &str) -> Result<Self, UrlError> {
        let link = link.split('#').next().unwrap_or_default();
        if has_scheme(link) {
            return Self::parse(link);
        }
        if let Some(rest) = link.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", self.scheme()));
        }
        let own = self.path.split('?').next().unwrap_or_default();
        let joined = if link.is_empty() {
            self.path.clone()
        } else if link.starts_with('/') {
            link.to_owned()
        } else if link.starts_with('?') {
            format!("{own}{link}")
        } else {
            let folder = own.rfind('/').map_or("/", |end| &own[..=end]);
            format!("{folder}{link}")
        };
        Ok(Self { path: escape(&without_dots(&joined)), ..self.clone() })
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// Is it https?
    pub fn secure(&self) -> bool {
        self.secure
    }

    /// Lower case; an IPv6 address with its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// As given, or the scheme's own.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// With the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The last component of the path, unescaped.
    pub fn file_name(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        unescape(path.rsplit('/').next().unwrap_or_default())
    }

    /// Same scheme, host and port: where credentials may go.
    pub fn same_origin(&self, other: &Self) -> bool {
        (self.secure, &self.host, self.port) == (other.secure, &other.host, other.port)
    }

    /// `Basic …`, where the address has a user.
    pub fn authorization(&self) -> Option<String> {
        let user = self.user.as_deref()?;
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        let plain = format!("{}:{}", unescape(name), unescape(password));
        Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(plain)))
    }

    /// The address with the user and password of `other`, if it has none and both have one origin.
    #[must_use]
    pub fn with_user_of(mut self, other: &Self) -> Self {
        if self.user.is_none() && self.same_origin(other) {
            self.user.clone_from(&other.user);
        }
        self
    }

    /// The address with user and password, for settings and requests; never for messages.
    pub fn with_secrets(&self) -> String {
        match &self.user {
            Some(user) => format!("{}://{user}@{}{}", self.scheme(), self.place(), self.path),
            None => self.to_string(),
        }
    }

    /// User and password as they stand in the address, where there are some.
    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The user without the password, unescaped.
    pub(crate) fn user_name(&self) -> Option<String> {
        let user = self.user.as_deref()?;
        Some(unescape(user.split(':').next().unwrap_or_default()))
    }

    /// The same address with this user and password.
    #[must_use]
    pub fn with_login(mut self, user: &str, password: &str) -> Self {
        self.user = Some(format!("{}:{}", escape_all(user), escape_all(password)));
        self
    }

    /// The same address without user and password.
    #[must_use]
    pub fn without_login(mut self) -> Self {
        self.user = None;
        self
    }

    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", self.scheme(), self.place())
    }

    pub(crate) fn place(&self) -> String {
        let usual = if self.secure { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.place(), self.path)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Also for a text that is no address: whatever may be a password is cut out.
fn without_user(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    let (authority, path) = split_authority(rest);
    let place = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}{place}{path}").replace(char::is_control, "\u{fffd}")
}

fn split_authority(rest: &str) -> (&str, &str) {
    rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()))
}

fn split_port(place: &str) -> Result<(&str, Option<u16>), &'static str> {
    let colon = match place.rfind(']') {
        Some(bracket) => place[bracket..].find(':').map(|at| bracket + at),
        None => place.rfind(':'),
    };
    let (host, port) = match colon {
        Some(colon) => (&place[..colon], Some(&place[colon + 1..])),
        None => (place, None),
    };
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~[]:".contains(&byte);
    if host.is_empty() || !host.bytes().all(fine) {
        return Err("its host is not valid");
    }
    match port {
        None | Some("") => Ok((host, None)),
        Some(port) => port.parse().map(|port| (host, Some(port))).map_err(|_| "its port is not valid"),
    }
}

fn has_scheme(link: &str) -> bool {
    let Some((scheme, _)) = link.split_once(':') else { return false };
    let mut letters = scheme.bytes();
    letters.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && letters.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn without_dots(path: &str) -> String {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut kept: Vec<&str> = Vec::new();
    let components: Vec<&str> = path.split('/').skip(1).collect();
    for (at, component) in components.iter().enumerate() {
        let last = at + 1 == components.len();
        match *component {
            "." if last => kept.push(""),
            "." => {}
            ".." => {
                kept.pop();
                if last {
                    kept.push("");
                }
            }
            name => kept.push(name),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

/// Percent-encodes everything but letters, digits and `-._~`.
fn escape_all(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// Percent-encodes what may not stand in a request line; leaves `%` alone.
fn escape(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%[]".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = match tail {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match code {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_sent_but_never_shown() {
        let url = Url::parse("https://me:s%40cret@Host.Example:8443/a?b#c").unwrap();
        assert_eq!(url.to_string(), "https://host.example:8443/a?b");
        assert_eq!(format!("{url:?}"), url.to_string());
        assert_eq!(url.authorization().unwrap(), "Basic bWU6c0BjcmV0");
        let wrong = Url::parse("ftp://me:secret@host/").unwrap_err();
        assert!(!wrong.to_string().contains("secret"), "{wrong}");
        let wrong = Url::parse("me:secret@host/x").unwrap_err();
        assert!(!wrong.to_string().contains("secret"), "{wrong}");
    }

    /// RFC 3986, section 5.4, as far as http goes.
    #[test]
    fn links_resolve_as_the_specification_says() {
        let base = Url::parse("http://a/b/c/d;p?q").unwrap();
        for (link, meant) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("g#s", "http://a/b/c/g"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../../../g", "http://a/g"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("http://other/x", "http://other/x"),
        ] {
            assert_eq!(base.join(link).unwrap().to_string(), meant, "{link}");
        }
        assert!(base.join("file:///etc/passwd").is_err());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "a/b", "file:///x", "http://", "http://a b/", "http://a:99999/", "http://a\r\nX: y/"] {
            assert!(Url::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(Url::parse("http://[::1]:8080/x").unwrap().to_string(), "http://[::1]:8080/x");
    }
}
