//! `WWW-Authenticate` (RFC 9110, section 11.6.1): a list of challenges, each a scheme and perhaps parameters.
//!
//! ```text
//! Bearer realm="https://auth.example/token",service="registry, eu", Basic realm=x
//! ```
//!
//! Commas separate both parameters and challenges, and may stand inside quotes, so the text is read letter by letter.

/// One challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// In lower case: `bearer`, `basic`.
    pub(crate) scheme: String,
    /// Names in lower case.
    pub(crate) parameters: Vec<(String, String)>,
}

impl Challenge {
    /// A parameter, by its lower-case name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Reads one header's value. What cannot be read ends the list.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut text = Text { rest: header };
    let mut challenges: Vec<Challenge> = Vec::new();
    loop {
        text.skip(|letter| letter == ',' || letter.is_ascii_whitespace());
        let word = text.token();
        if word.is_empty() {
            return challenges;
        }
        let name = word.to_ascii_lowercase();
        text.skip(|letter| letter == ' ' || letter == '\t');
        match (text.rest.strip_prefix('='), challenges.last_mut()) {
            (Some(rest), Some(challenge)) if !rest.starts_with('=') => {
                text.rest = rest.trim_start_matches([' ', '\t']);
                let Some(value) = text.value() else { return challenges };
                challenge.parameters.push((name, value));
            }
            (Some(_), _) => return challenges,
            (None, _) => challenges.push(Challenge { scheme: name, parameters: Vec::new() }),
        }
    }
}

struct Text<'a> {
    rest: &'a str,
}

impl Text<'_> {
    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        self.rest = self.rest.trim_start_matches(skipped);
    }

    /// RFC 9110, section 5.6.2.
    fn token(&mut self) -> String {
        let good = |letter: char| letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter);
        let end = self.rest.find(|letter| !good(letter)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        token.to_owned()
    }

    /// A token, or a quoted string; none for one that does not end.
    fn value(&mut self) -> Option<String> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            // Addresses are not tokens, but some send them without quotes.
            let end = self.rest.find([',', ' ', '\t']).unwrap_or(self.rest.len());
            let (value, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Some(value.to_owned());
        };
        let mut value = String::new();
        let mut letters = quoted.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.rest = &quoted[at + 1..];
                    return Some(value);
                }
                '\\' => value.push(letters.next()?.1),
                letter => value.push(letter),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> Vec<(String, Vec<(String, String)>)> {
        parse(header).into_iter().map(|challenge| (challenge.scheme, challenge.parameters)).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_registries_send() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let expected = pairs(&[
            ("realm", "https://auth.docker.io/token"),
            ("service", "registry.docker.io"),
            ("scope", "repository:a/b:pull,push"),
        ]);
        assert_eq!(read(hub), [("bearer".to_owned(), expected)]);
        assert_eq!(read("Basic realm=\"Registry Realm\"")[0].1, pairs(&[("realm", "Registry Realm")]));
        assert_eq!(read("BASIC")[0], ("basic".to_owned(), vec![]));
        let unquoted = read("Bearer realm=https://r.example/token, service=r");
        assert_eq!(unquoted[0].1, pairs(&[("realm", "https://r.example/token"), ("service", "r")]));
    }

    #[test]
    fn several_in_one_header() {
        let both = read(r#"Negotiate, Bearer realm="a,\"b\\" , error=x,, Basic realm="c""#);
        let schemes: Vec<&str> = both.iter().map(|(scheme, _)| scheme.as_str()).collect();
        assert_eq!(schemes, ["negotiate", "bearer", "basic"]);
        assert_eq!(both[1].1, pairs(&[("realm", "a,\"b\\"), ("error", "x")]));
    }

    #[test]
    fn nonsense_ends_the_list() {
        for header in ["", ",,,", "=x", "\"", "Bearer realm=\"open", "Bearer realm=\"a\\"] {
            assert!(read(header).iter().all(|(_, parameters)| parameters.is_empty()), "{header}");
        }
        assert_eq!(read("Bearer realm=\"a\" \u{0}, Basic").len(), 1);
    }
}
