//! Which endpoint a request is for (distribution specification 1.1, "Endpoints").
//!
//! A repository's name has slashes, and its components may be words of the API, so paths are read from their ends. No
//! path of the API needs a percent sign; one that has some is refused, not decoded.

use corten_oci::{Digest, Repository, Tag};

use crate::answer::{Code, Refusal};

/// Longest path that is looked at, in bytes.
const LONGEST: usize = 1024;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/v2/`: end-1.
    Base,
    /// `/v2/_catalog`.
    Catalog,
    /// end-2, end-10.
    Blob(Repository, Digest),
    /// end-3, end-7, end-9.
    Manifest(Repository, Which),
    /// end-4, end-11.
    Uploads(Repository),
    /// end-5, end-6, end-13.
    Upload(Repository, String),
    /// end-8.
    Tags(Repository),
    /// end-12.
    Referrers(Repository, Digest),
}

/// A manifest by name or by content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    Tag(Tag),
    Digest(Digest),
}

impl Route {
    pub(crate) fn of(path: &str) -> Result<Self, Refusal> {
        if path == "/v2/" || path == "/v2" {
            return Ok(Self::Base);
        }
        let rest = path.strip_prefix("/v2/").ok_or_else(nowhere)?;
        if rest == "_catalog" {
            return Ok(Self::Catalog);
        }
        if path.len() > LONGEST {
            return Err(Refusal::new(Code::NameInvalid, format!("a path is at most {LONGEST} bytes long")));
        }
        let parts: Vec<&str> = rest.split('/').collect();
        match parts.as_slice() {
            [name @ .., "tags", "list"] => Ok(Self::Tags(repository(name)?)),
            [name @ .., "manifests", which] => Ok(Self::Manifest(repository(name)?, self::which(which)?)),
            [name @ .., "referrers", subject] => Ok(Self::Referrers(repository(name)?, digest(subject)?)),
            [name @ .., "blobs", "uploads" | "uploads/"] | [name @ .., "blobs", "uploads", ""] => {
                Ok(Self::Uploads(repository(name)?))
            }
            [name @ .., "blobs", "uploads", id] => Ok(Self::Upload(repository(name)?, (*id).to_owned())),
            [name @ .., "blobs", blob] => Ok(Self::Blob(repository(name)?, digest(blob)?)),
            _ => Err(nowhere()),
        }
    }
}

fn nowhere() -> Refusal {
    Refusal::new(Code::NotFound, "no endpoint of the distribution specification has this path")
}

/// A repository by its whole name; the grammar is the specification's, so no name can climb out of a folder.
pub(crate) fn repository_of(text: &str) -> Result<Repository, Refusal> {
    // A reference may begin with a host and its port; the name of a repository may not.
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-/".contains(&byte);
    match text.parse() {
        Ok(name) if text.bytes().all(is_name) => Ok(name),
        Ok(_) => Err(Refusal::new(Code::NameInvalid, format!("'{text}' is no name of a repository"))),
        Err(error) => {
            let error: corten_oci::ReferenceError = error;
            Err(Refusal::new(Code::NameInvalid, error.to_string()))
        }
    }
}

fn repository(parts: &[&str]) -> Result<Repository, Refusal> {
    repository_of(&parts.join("/"))
}

/// A digest that can be checked; the specification registers sha512, too, which this store does not have.
pub(crate) fn digest(text: &str) -> Result<Digest, Refusal> {
    text.parse().map_err(|error: corten_oci::DigestError| {
        let code = if text.starts_with("sha512:") { Code::Unsupported } else { Code::DigestInvalid };
        Refusal::new(code, error.to_string()).with_status(400)
    })
}

fn which(text: &str) -> Result<Which, Refusal> {
    if text.contains(':') {
        return digest(text).map(Which::Digest);
    }
    let tag = Tag::new(text).map_err(|error| Refusal::new(Code::ManifestInvalid, error.to_string()));
    tag.map(Which::Tag)
}

/// The parameters of a query, decoded. What is not UTF-8, or no escape, is refused.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn of(query: Option<&str>) -> Result<Self, Refusal> {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(name)?, decoded(value)?))
        });
        let pairs = pairs.collect::<Option<Vec<_>>>();
        pairs.map(Self).ok_or_else(|| Refusal::new(Code::Unsupported, "the query cannot be decoded").with_status(400))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// Escapes a query's value.
pub(crate) fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn name(text: &str) -> Repository {
        text.parse().unwrap()
    }

    #[test]
    fn paths_are_read_from_their_ends() {
        let digest = || DIGEST.parse().unwrap();
        for (path, expected) in [
            ("/v2/".to_owned(), Route::Base),
            ("/v2/_catalog".to_owned(), Route::Catalog),
            ("/v2/a/tags/list".to_owned(), Route::Tags(name("a"))),
            ("/v2/tags/list/tags/list".to_owned(), Route::Tags(name("tags/list"))),
            ("/v2/a/blobs/uploads/".to_owned(), Route::Uploads(name("a"))),
            ("/v2/a/blobs/uploads".to_owned(), Route::Uploads(name("a"))),
            ("/v2/a/blobs/uploads/17".to_owned(), Route::Upload(name("a"), "17".into())),
            ("/v2/blobs/uploads/blobs/uploads/17".to_owned(), Route::Upload(name("blobs/uploads"), "17".into())),
            (format!("/v2/a/b/blobs/{DIGEST}"), Route::Blob(name("a/b"), digest())),
            (format!("/v2/manifests/manifests/{DIGEST}"), Route::Manifest(name("manifests"), Which::Digest(digest()))),
            (
                format!("/v2/docker.io/library/a/referrers/{DIGEST}"),
                Route::Referrers(name("docker.io/library/a"), digest()),
            ),
        ] {
            assert_eq!(Route::of(&path).ok(), Some(expected), "{path}");
        }
    }

    #[test]
    fn k1_names_that_are_none_are_refused_and_never_decoded() {
        let long = "a".repeat(10_000);
        for bad in [
            "..",
            "%2e%2e",
            "a/..",
            "a%2fb",
            "a//b",
            "",
            "/a",
            "a/",
            "_uploads",
            "A",
            "a_",
            "a.",
            ".a",
            "a\u{0}",
            "a%00",
            "é",
            "a b",
            "a:5000",
            "a:5000/b",
            "[::1]/b",
            "A/b",
            "a/%2e%2e/b",
            long.as_str(),
        ] {
            let refused = Route::of(&format!("/v2/{bad}/tags/list")).unwrap_err();
            assert_eq!((refused.code, refused.status), (Code::NameInvalid, 400), "{bad}");
        }
        for bad in ["-a", ".a", "a%20b", "a b", "é", ""] {
            assert!(Route::of(&format!("/v2/a/manifests/{bad}")).is_err(), "{bad}");
        }
        for nowhere in ["/", "/v1/", "/v2x", "/v2/a", "/v2/a/tags", "/v2/a/tags/list/x/", "/v3/a/tags/list"] {
            assert_eq!(Route::of(nowhere).unwrap_err().status, 404, "{nowhere}");
        }
    }

    #[test]
    fn k2_digests_that_are_none_are_refused() {
        let upper = DIGEST.to_uppercase();
        for bad in ["sha256:../..", "sha256:", "md5:d41d8cd98f00b204e9800998ecf8427e", "x:y", &upper, &DIGEST[..70]] {
            let refused = Route::of(&format!("/v2/a/blobs/{bad}")).map(|_| ()).unwrap_err();
            assert_eq!(refused.status, if bad.contains('/') { 404 } else { 400 }, "{bad}");
        }
        let refused = digest(&format!("sha512:{}", "0".repeat(128))).unwrap_err();
        assert_eq!((refused.code, refused.status), (Code::Unsupported, 400));
    }

    #[test]
    fn queries_are_decoded_once() {
        let query = Query::of(Some("digest=sha256%3Aab&from=a%2Fb&n=%2541&flag")).unwrap();
        assert_eq!(query.get("digest"), Some("sha256:ab"));
        assert_eq!(query.get("from"), Some("a/b"));
        assert_eq!((query.get("n"), query.get("flag"), query.get("other")), (Some("%41"), Some(""), None));
        for bad in ["a=%", "a=%4", "a=%zz", "a=%ff", "a=%00"] {
            assert!(Query::of(Some(bad)).is_err(), "{bad}");
        }
        assert_eq!(escaped("a/b c&d"), "a/b%20c%26d");
    }
}
