//! Which files an index has of a project: the simple API.
//!
//! | PEP | what it settles |
//! |---|---|
//! | 503, 592, 629 | a page of links (HTML), `data-yanked`, the version of the API |
//! | 691, 700 | the same as JSON, with sizes |
//!
//! An index that speaks JSON is asked for JSON; the answer's `Content-Type` decides how it is read.

use corten_diagnostic::{Diagnose, Events, Fault};
use corten_net::{Client, NetError, Request, Response, Url};
use corten_oci::Digest;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Read;

/// JSON first, HTML where the index knows no other.
const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01";
/// The largest pages of PyPI have 30 MB.
const LONGEST_PAGE: u64 = 128 << 20;

/// A file of a project, as its index lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFile {
    /// Its name: `numpy-2.4.6-cp311-….whl`.
    pub file: String,
    /// Absolute, with the credentials of the index where both have one origin; never to be shown as it is.
    pub url: String,
    /// SHA-256, where the index gives it.
    pub digest: Option<Digest>,
    /// Bytes, where the index gives them.
    pub size: Option<u64>,
    /// Why it was withdrawn (the reason may be empty), if it was.
    pub yanked: Option<String>,
    /// `Requires-Python`, where the index gives it.
    pub requires_python: Option<String>,
}

/// Why an index did not tell.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The network.
    #[error("asking the index for {project}: {source}")]
    Net {
        /// Which project.
        project: String,
        /// What the network said.
        source: NetError,
    },
    /// The index has no such project.
    #[error("the index {index} has no project {project}")]
    Unknown {
        /// Which project.
        project: String,
        /// Which index.
        index: String,
    },
    /// The answer cannot be read.
    #[error("asking the index for {project}: {url}: {why}")]
    Page {
        /// Which project.
        project: String,
        /// From where.
        url: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Diagnose for IndexError {
    fn fault(&self) -> Fault {
        Fault::World
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Net { source, .. } => source.hints(),
            Self::Unknown { .. } => {
                vec!["check the name, and which index the project's lock or settings name for it".to_owned()]
            }
            Self::Page { .. } => vec!["is the address that of a simple API, as https://pypi.org/simple is?".to_owned()],
        }
    }
}

/// The files of a project. `index_url`: `https://pypi.org/simple`; `name`: normalised (PEP 503).
///
/// Files whose name would be no name of a file are left out; a file's own hash decides later what it is.
pub fn files(client: &Client, index_url: &str, name: &str, events: &dyn Events) -> Result<Vec<IndexFile>, IndexError> {
    let net = |source| IndexError::Net { project: name.to_owned(), source };
    let index = parse_index(index_url).map_err(net)?;
    let address = format!("{}/{name}/", index.with_secrets().trim_end_matches('/'));
    let request = Request::get(&address).header("Accept", ACCEPT);
    let mut response = client.send(&request).map_err(|source| match source {
        NetError::Status { status: 404 | 410, .. } => {
            IndexError::Unknown { project: name.to_owned(), index: index.to_string() }
        }
        source => net(source),
    })?;
    let bytes = page(&mut response).map_err(net)?;
    let broken = |why: String| IndexError::Page { project: name.to_owned(), url: response.url.to_string(), why };
    let kind = response.header("content-type").unwrap_or("text/html").to_ascii_lowercase();
    let base = response.url.clone().with_user_of(&index);
    let listed = if kind.contains("json") {
        from_json(&bytes, name, events).map_err(broken)?
    } else if kind.contains("html") {
        from_html(&String::from_utf8_lossy(&bytes), name, events).map_err(broken)?
    } else {
        return Err(broken(format!("it is '{kind}', neither JSON nor HTML")));
    };
    let files = listed.into_iter().filter_map(|file| file.absolute(&base, &index));
    Ok(files.collect())
}

/// Bytes of a file, by a HEAD; none where the server does not say.
pub fn head_size(client: &Client, url: &str) -> Result<Option<u64>, NetError> {
    Ok(client.send(&Request::head(url))?.length())
}

fn parse_index(index_url: &str) -> Result<Url, NetError> {
    Url::parse(index_url)
        .map_err(|error| NetError::Transport { url: error.shown().to_owned(), why: error.why().to_owned() })
}

fn page(response: &mut Response) -> Result<Vec<u8>, NetError> {
    let url = response.url.to_string();
    let mut bytes = Vec::new();
    let read = (&mut response.body).take(LONGEST_PAGE + 1).read_to_end(&mut bytes);
    read.map_err(|error| NetError::Transport { url: url.clone(), why: error.to_string() })?;
    if bytes.len() as u64 > LONGEST_PAGE {
        return Err(NetError::TooLong { url, limit: LONGEST_PAGE });
    }
    Ok(bytes)
}

/// As listed: the address may be relative.
struct Listed {
    file: String,
    link: String,
    digest: Option<Digest>,
    size: Option<u64>,
    yanked: Option<String>,
    requires_python: Option<String>,
}

impl Listed {
    fn absolute(self, base: &Url, index: &Url) -> Option<IndexFile> {
        let url = base.join(&self.link).ok()?.with_user_of(index);
        let odd = self.file.is_empty() || self.file.starts_with('.');
        let fine =
            !odd && !self.file.chars().any(|character| matches!(character, '/' | '\\') || character.is_control());
        fine.then(|| IndexFile {
            file: self.file,
            url: url.with_secrets(),
            digest: self.digest,
            size: self.size,
            yanked: self.yanked,
            requires_python: self.requires_python,
        })
    }
}

/// PEP 691.
#[derive(Deserialize)]
struct JsonPage {
    meta: JsonMeta,
    files: Vec<JsonFile>,
}

#[derive(Deserialize)]
struct JsonMeta {
    #[serde(rename = "api-version")]
    api_version: String,
}

#[derive(Deserialize)]
struct JsonFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    yanked: Option<JsonYanked>,
    #[serde(default, rename = "requires-python")]
    requires_python: Option<String>,
}

/// `false`, `true`, or the reason.
#[derive(Deserialize)]
#[serde(untagged)]
enum JsonYanked {
    Is(bool),
    Why(String),
}

fn from_json(bytes: &[u8], name: &str, events: &dyn Events) -> Result<Vec<Listed>, String> {
    let page: JsonPage = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    check_version(&page.meta.api_version, name, events)?;
    let listed = page.files.into_iter().map(|file| Listed {
        digest: file.hashes.get("sha256").and_then(|hex| sha256(hex)),
        file: file.filename,
        link: file.url,
        size: file.size,
        yanked: file.yanked.and_then(|yanked| match yanked {
            JsonYanked::Is(yanked) => yanked.then(String::new),
            JsonYanked::Why(reason) => Some(reason),
        }),
        requires_python: file.requires_python,
    });
    Ok(listed.collect())
}

/// PEP 629: another major version cannot be read, a newer minor version is told.
fn check_version(version: &str, name: &str, events: &dyn Events) -> Result<(), String> {
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    if major != "1" {
        return Err(format!("it speaks version '{version}' of the simple API, only 1 is known"));
    }
    if minor.parse::<u32>().is_ok_and(|minor| minor > 4) {
        events.warning(&format!(
            "the index of {name} speaks version {version} of the simple API, newer than what is known"
        ));
    }
    Ok(())
}

fn sha256(hex: &str) -> Option<Digest> {
    format!("sha256:{}", hex.to_ascii_lowercase()).parse().ok()
}

/// PEP 503: every `<a href>` is a file, its text the file's name, its fragment the hash.
fn from_html(text: &str, name: &str, events: &dyn Events) -> Result<Vec<Listed>, String> {
    let mut listed = Vec::new();
    let mut rest = text;
    while let Some((tag, after)) = next_tag(rest) {
        rest = after;
        let attributes = attributes(tag);
        let value = |wanted: &str| attributes.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        match tag_name(tag).as_str() {
            "meta" if value("name") == Some("pypi:repository-version") => {
                check_version(value("content").unwrap_or("1.0"), name, events)?;
            }
            "a" => {
                let Some(href) = value("href") else { continue };
                let (link, fragment) = href.split_once('#').unwrap_or((href, ""));
                let label = after.split('<').next().map(|label| unescape(label.trim())).unwrap_or_default();
                listed.push(Listed {
                    file: label,
                    link: link.to_owned(),
                    digest: fragment.strip_prefix("sha256=").and_then(|hex| sha256(hex.split('&').next()?)),
                    size: None,
                    yanked: value("data-yanked").map(str::to_owned),
                    requires_python: value("data-requires-python").map(str::to_owned),
                });
            }
            _ => {}
        }
    }
    Ok(listed)
}

/// The inside of the next tag (quoted `>` do not end it), and what follows. Comments are passed over.
fn next_tag(text: &str) -> Option<(&str, &str)> {
    let start = text.get(text.find('<')? + 1..)?;
    if let Some(comment) = start.strip_prefix("!--") {
        let end = comment.find("-->")?;
        return Some(("", comment.get(end + 3..)?));
    }
    let mut quote = None;
    for (at, character) in start.char_indices() {
        match (quote, character) {
            (None, '>') => return Some((&start[..at], &start[at + 1..])),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    None
}

fn tag_name(tag: &str) -> String {
    tag.split(|character: char| character.is_ascii_whitespace() || character == '/')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
}

/// Names in lower case, values unescaped; a name without a value has the empty one.
fn attributes(tag: &str) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    let mut rest = tag.trim_start_matches(|character: char| !character.is_ascii_whitespace()).trim_start();
    while !rest.is_empty() {
        let end =
            rest.find(|character: char| character.is_ascii_whitespace() || character == '=').unwrap_or(rest.len());
        let name = rest[..end].to_ascii_lowercase();
        let after = rest[end..].trim_start();
        let (value, next) = match after.strip_prefix('=') {
            Some(value) => attribute_value(value.trim_start()),
            None => ("", after),
        };
        attributes.push((name, unescape(value)));
        // A stray '=' or quote must not stop the walk.
        rest = if next.len() == rest.len() { next.get(1..).unwrap_or_default() } else { next }.trim_start();
    }
    attributes
}

fn attribute_value(text: &str) -> (&str, &str) {
    if let Some(quote) = text.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        let inner = &text[1..];
        let end = inner.find(quote).unwrap_or(inner.len());
        return (&inner[..end], inner.get(end + 1..).unwrap_or_default());
    }
    text.split_at(text.find(|character: char| character.is_ascii_whitespace()).unwrap_or(text.len()))
}

/// The entities that indexes write: `&lt; &gt; &amp; &quot; &#39; &#x27;`.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        plain.push_str(&rest[..start]);
        rest = &rest[start..];
        let Some((character, length)) = entity(rest) else {
            plain.push('&');
            rest = &rest[1..];
            continue;
        };
        plain.push(character);
        rest = &rest[length..];
    }
    plain + rest
}

fn entity(text: &str) -> Option<(char, usize)> {
    let end = text.bytes().take(12).position(|byte| byte == b';')?;
    let name = text.get(1..end)?;
    let character = match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some((character, end + 1))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use corten_diagnostic::Nobody;
    use corten_net::Settings;
    use corten_testkit::http::{Answer, Server};
    use corten_testkit::index::{Form, PackageIndex};

    use super::*;

    fn client() -> Client {
        Client::new(Settings { pause: Duration::ZERO, longest_pause: Duration::ZERO, ..Settings::default() })
    }

    #[test]
    fn json_and_html_say_the_same() {
        let mut answers = Vec::new();
        for form in [Form::Json, Form::Html] {
            let index = PackageIndex::start(form);
            let digest = index.add("my-pkg", "my_pkg-1.0-py3-none-any.whl", b"one");
            index.add_with("my-pkg", "my_pkg-2.0-py3-none-any.whl", b"two", Some("broken & <bad>"), Some(">=3.11,<4"));
            let files = files(&client(), &index.url(), "my-pkg", &Nobody).unwrap();
            assert_eq!(files[0].digest, Some(digest));
            assert_eq!(files[0].url, index.file_url("my_pkg-1.0-py3-none-any.whl"));
            assert_eq!(files[0].yanked, None);
            assert_eq!(files[1].yanked.as_deref(), Some("broken & <bad>"));
            assert_eq!(files[1].requires_python.as_deref(), Some(">=3.11,<4"));
            assert_eq!(head_size(&client(), &files[1].url).unwrap(), Some(3));
            let without = |file: IndexFile| (file.file, file.digest, file.yanked, file.requires_python);
            answers.push(files.into_iter().map(without).collect::<Vec<_>>());
            let asked = index.server().server().asked();
            assert!(asked[0].header("accept").unwrap().starts_with("application/vnd.pypi.simple.v1+json"));
        }
        assert_eq!(answers[0], answers[1]);
    }

    /// The page is in the form that PEP 503 shows, with what real indexes add.
    #[test]
    fn odd_html_is_read() {
        let page = "<!DOCTYPE html><html><!-- <a href='no'>no</a> --><BODY>\n<A data-yanked HREF='x.whl#sha256=E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855&egg=x'  data-requires-python=\"&gt;=3\">\n x.whl </A>\n<a class=c href=y.whl>y.whl</a><a name=anchor>z</a>";
        let listed = from_html(page, "x", &Nobody).unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!((listed[0].file.as_str(), listed[0].yanked.as_deref()), ("x.whl", Some("")));
        assert_eq!(listed[0].digest, Some(Digest::of("")));
        assert_eq!(listed[0].requires_python.as_deref(), Some(">=3"));
        assert_eq!((listed[1].link.as_str(), listed[1].digest), ("y.whl", None));
    }

    #[test]
    fn hostile_html_ends() {
        for page in [
            "<",
            "<a",
            "<a href",
            "<a href=",
            "<a href='",
            "<a =x ==>",
            "<!--",
            "<a href=\"x\">&#xffffffff;&",
            "<a \u{e9}=\u{e9}>",
        ] {
            let _ = from_html(page, "x", &Nobody);
        }
    }

    #[test]
    fn a_project_that_is_not_there_and_an_index_that_is_none_are_told_apart() {
        let index = PackageIndex::start(Form::Json);
        assert!(matches!(files(&client(), &index.url(), "nothing", &Nobody), Err(IndexError::Unknown { .. })));
        let other = Server::start(|_| Answer::ok("hello").header("Content-Type", "text/plain"));
        let error = files(&client(), &other.url("/simple"), "x", &Nobody).unwrap_err();
        assert!(error.to_string().contains("neither JSON nor HTML"), "{error}");
        let future = r#"{"meta":{"api-version":"2.0"},"files":[]}"#;
        let future =
            Server::start(move |_| Answer::ok(future).header("Content-Type", "application/vnd.pypi.simple.v1+json"));
        let error = files(&client(), &future.url("/simple"), "x", &Nobody).unwrap_err();
        assert!(error.to_string().contains("version '2.0'"), "{error}");
    }

    #[test]
    fn credentials_of_the_index_go_to_its_files_but_not_elsewhere() {
        let page = r#"{"meta":{"api-version":"1.0"},"files":[{"filename":"a.whl","url":"/a.whl","hashes":{}},{"filename":"b.whl","url":"http://elsewhere.example/b.whl","hashes":{}},{"filename":"../c.whl","url":"/c.whl"}]}"#;
        let server = Server::start(move |_| Answer::ok(page).header("Content-Type", "application/json"));
        let url = server.url("/simple/").replace("http://", "http://me:secret@");
        let files = files(&client(), &url, "x", &Nobody).unwrap();
        assert_eq!(files.len(), 2);
        assert!(files[0].url.starts_with("http://me:secret@"));
        assert_eq!(files[1].url, "http://elsewhere.example/b.whl");
        assert!(server.asked()[0].header("authorization").is_some());
    }
}
