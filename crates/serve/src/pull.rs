//! What is read: manifests, blobs, tags, the catalog, referrers (distribution specification 1.1, "Pull" and "Content
//! Discovery"). All of it waits for the disk, so it runs on threads that may.

use std::io::{Read, Seek, SeekFrom};

use corten_oci::{Descriptor, Digest, Document, Index, LARGEST_DOCUMENT, MediaType, Repository, Tag};
use hyper::HeaderMap;

use crate::answer::{Answer, Code, Refusal};
use crate::holdings::{Holdings, Kind};
use crate::route::{Query, Which, escaped};

/// Names of one page, where the client says nothing, and at most.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;
/// Bytes of referrers in one page: clients read no index above 4 MiB.
const REFERRERS_PAGE: usize = 3 << 20;

/// Does the answer have a body?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
}

/// end-3.
pub(crate) fn manifest(
    holdings: &Holdings,
    method: Method,
    repository: &Repository,
    which: &Which,
) -> Result<Answer, Refusal> {
    let digest = resolve(holdings, repository, which)?;
    if holdings.store.size(&digest)?.is_some_and(|size| size > LARGEST_DOCUMENT) {
        return Err(Refusal::new(Code::ManifestUnknown, "it is too large for a manifest"));
    }
    let bytes = holdings.store.bytes(&digest).map_err(|error| manifest_gone(error.into()))?;
    let described = holdings.store.describe(&digest, &bytes)?;
    if Document::parse(&described, &bytes).is_err() {
        let why = "it was built here, and not all of its layers are: no manifest can be made of it";
        return Err(Refusal::new(Code::ManifestUnknown, why));
    }
    let answer = Answer::new(200)
        .header("content-type", described.media_type.0)
        .header("content-length", bytes.len().to_string())
        .header("docker-content-digest", digest.to_string())
        .header("etag", format!("\"{digest}\""));
    Ok(if method == Method::Get { answer.bytes(bytes) } else { answer })
}

fn manifest_gone(refusal: Refusal) -> Refusal {
    match refusal.code {
        Code::BlobUnknown => refusal.with_code(Code::ManifestUnknown),
        _ => refusal,
    }
}

/// The digest of a manifest that the repository has.
pub(crate) fn resolve(holdings: &Holdings, repository: &Repository, which: &Which) -> Result<Digest, Refusal> {
    let unknown = || Refusal::new(Code::ManifestUnknown, format!("{repository} has no such manifest"));
    match which {
        Which::Tag(tag) => {
            let (_, digest) = holdings.tag(repository, tag)?.ok_or_else(unknown)?;
            holdings.learn(repository, digest, Some(tag))?;
            Ok(digest)
        }
        Which::Digest(digest) if holdings.has(repository, digest, Kind::Document)? => {
            holdings.learn(repository, *digest, None)?;
            Ok(*digest)
        }
        Which::Digest(_) => Err(unknown()),
    }
}

/// end-2.
pub(crate) fn blob(
    holdings: &Holdings,
    method: Method,
    repository: &Repository,
    digest: &Digest,
    headers: &HeaderMap,
) -> Result<Answer, Refusal> {
    let unknown = || Refusal::new(Code::BlobUnknown, format!("{repository} has no such blob"));
    if !holdings.has(repository, digest, Kind::Blob)? {
        return Err(unknown());
    }
    let size = holdings.store.size(digest)?.ok_or_else(unknown)?;
    let range = headers.get("range").and_then(|range| range.to_str().ok()).filter(|_| method == Method::Get);
    let answer = |status: u16, length: u64| {
        Answer::new(status)
            .header("content-type", "application/octet-stream")
            .header("content-length", length.to_string())
            .header("docker-content-digest", digest.to_string())
            .header("etag", format!("\"{digest}\""))
            .header("accept-ranges", "bytes")
    };
    match range.map_or(Range::All, |range| Range::of(range, size)) {
        Range::All if method == Method::Head => Ok(answer(200, size)),
        Range::All => {
            let (content, size) = holdings.store.stream(digest)?;
            Ok(answer(200, size).blob(Box::new(content), size))
        }
        Range::Part(first, last) => {
            let length = last - first + 1;
            let mut file = holdings.store.file(digest)?;
            file.seek(SeekFrom::Start(first)).map_err(|_| Refusal::new(Code::Unknown, "the blob cannot be read"))?;
            let answer = answer(206, length).header("content-range", format!("bytes {first}-{last}/{size}"));
            Ok(answer.blob(Box::new(file.take(length)), length))
        }
        Range::Beyond => Err(Refusal::new(Code::RangeInvalid, format!("the blob has {size} bytes"))
            .with_header("content-range", format!("bytes */{size}"))),
    }
}

/// What `Range` asks for (RFC 9110 §14.2): one range; several are answered with the whole, as any server may.
#[derive(Debug, PartialEq, Eq)]
enum Range {
    All,
    /// First and last byte.
    Part(u64, u64),
    Beyond,
}

impl Range {
    fn of(text: &str, size: u64) -> Self {
        let Some((first, last)) = text.trim().strip_prefix("bytes=").and_then(|rest| rest.split_once('-')) else {
            return Self::All;
        };
        let number =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
        match (first, number(first), last, number(last)) {
            ("", _, _, Some(0)) => Self::Beyond,
            ("", _, _, Some(_)) if size == 0 => Self::Beyond,
            ("", _, _, Some(length)) => Self::Part(size.saturating_sub(length), size - 1),
            (_, Some(first), _, _)
                if first >= size && (last.is_empty() || number(last).is_some_and(|last| last >= first)) =>
            {
                Self::Beyond
            }
            (_, Some(first), "", _) => Self::Part(first, size - 1),
            (_, Some(first), _, Some(last)) if first <= last => Self::Part(first, last.min(size - 1)),
            _ => Self::All,
        }
    }
}

/// end-8.
pub(crate) fn tags(holdings: &Holdings, repository: &Repository, query: &Query) -> Result<Answer, Refusal> {
    let tags: Vec<String> = holdings.tag_names(repository)?.iter().map(Tag::to_string).collect();
    if tags.is_empty() && !holdings.is_known(repository)? {
        return Err(Refusal::new(Code::NameUnknown, format!("there is no repository {repository}")));
    }
    let page = Page::of(query)?;
    let (tags, next) = page.cut(tags);
    let answer = Answer::new(200).json(&serde_json::json!({"name": repository.to_string(), "tags": tags}));
    Ok(linked(answer, &format!("/v2/{repository}/tags/list"), page.size, next))
}

/// `_catalog`, as distribution has it.
pub(crate) fn catalog(holdings: &Holdings, query: &Query) -> Result<Answer, Refusal> {
    let page = Page::of(query)?;
    let (repositories, next) = page.cut(holdings.repositories()?.into_iter().collect());
    let answer = Answer::new(200).json(&serde_json::json!({"repositories": repositories}));
    Ok(linked(answer, "/v2/_catalog", page.size, next))
}

fn linked(answer: Answer, path: &str, size: usize, last: Option<String>) -> Answer {
    match last {
        Some(last) => answer.header("link", format!("<{path}?n={size}&last={}>; rel=\"next\"", escaped(&last))),
        None => answer,
    }
}

/// Part of a sorted list.
struct Page<'q> {
    size: usize,
    last: Option<&'q str>,
}

impl<'q> Page<'q> {
    fn of(query: &'q Query) -> Result<Self, Refusal> {
        let size = match query.get("n") {
            None => PAGE,
            Some(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().map_or(LARGEST_PAGE, |size: usize| size.min(LARGEST_PAGE))
            }
            Some(_) => return Err(Refusal::new(Code::Unsupported, "n is no number").with_status(400)),
        };
        Ok(Self { size, last: query.get("last") })
    }

    /// The names of the page, and its last one where there are more.
    fn cut(&self, names: Vec<String>) -> (Vec<String>, Option<String>) {
        let mut rest = names.into_iter().skip_while(|name| self.last.is_some_and(|last| name.as_str() <= last));
        let page: Vec<String> = rest.by_ref().take(self.size).collect();
        let next = page.last().filter(|_| rest.next().is_some()).cloned();
        (page, next)
    }
}

/// end-12.
pub(crate) fn referrers(
    holdings: &Holdings,
    repository: &Repository,
    subject: &Digest,
    query: &Query,
) -> Result<Answer, Refusal> {
    let (wanted, last) = (query.get("artifactType"), query.get("last"));
    let mut listed = holdings.store.referrers(subject)?;
    let digests: Vec<Digest> = listed.iter().map(|referrer| referrer.digest).collect();
    let here = holdings.those_of(repository, &digests)?;
    listed.retain(|referrer| here.contains(&referrer.digest));
    listed.extend(holdings.kept_about(repository, subject)?);
    listed.sort_by_key(|referrer| referrer.digest);
    listed.dedup_by_key(|referrer| referrer.digest);
    let fits = |referrer: &Descriptor| {
        wanted.is_none_or(|wanted| referrer.artifact_type.as_ref().is_some_and(|found| found.is(wanted)))
    };
    listed.retain(fits);
    listed.retain(|referrer| last.is_none_or(|last| referrer.digest.to_string().as_str() > last));
    let (mut bytes, mut page) = (0, Vec::new());
    let all = listed.len();
    for referrer in listed {
        bytes += serde_json::to_vec(&referrer).map_or(0, |json| json.len());
        if bytes > REFERRERS_PAGE && !page.is_empty() {
            break;
        }
        page.push(referrer);
    }
    let next = page.last().filter(|_| page.len() < all).map(|referrer| referrer.digest.to_string());
    let index = Index {
        schema_version: 2,
        media_type: Some(MediaType::INDEX.into()),
        artifact_type: None,
        manifests: page,
        subject: None,
        annotations: Default::default(),
    };
    let body = serde_json::to_vec(&index).map_err(|_| Refusal::new(Code::Unknown, "the list cannot be written"))?;
    debug_assert!(body.len() as u64 <= LARGEST_DOCUMENT);
    let mut answer = Answer::new(200).header("content-type", MediaType::INDEX).bytes(body);
    if wanted.is_some() {
        answer = answer.header("oci-filters-applied", "artifactType");
    }
    if let Some(next) = next {
        let filter = wanted.map(|wanted| format!("artifactType={}&", escaped(wanted))).unwrap_or_default();
        let link = format!("</v2/{repository}/referrers/{subject}?{filter}last={next}>; rel=\"next\"");
        answer = answer.header("link", link);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k8_one_range_or_the_whole() {
        let many = format!("bytes={}", vec!["0-0"; 1000].join(","));
        for (text, expected) in [
            ("bytes=0-0", Range::Part(0, 0)),
            ("bytes=2-", Range::Part(2, 9)),
            ("bytes=2-100", Range::Part(2, 9)),
            ("bytes=-3", Range::Part(7, 9)),
            ("bytes=-100", Range::Part(0, 9)),
            ("bytes=10-", Range::Beyond),
            ("bytes=18446744073709551615-", Range::Beyond),
            ("bytes=-0", Range::Beyond),
            ("bytes=5-2", Range::All),
            ("bytes=99999999999999999999-", Range::All),
            ("bytes=-1-2", Range::All),
            ("bytes=+1-2", Range::All),
            ("bytes=0-0,5-9", Range::All),
            (many.as_str(), Range::All),
            ("lines=1-2", Range::All),
            ("bytes", Range::All),
        ] {
            assert_eq!(Range::of(text, 10), expected, "{text}");
        }
        for text in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(Range::of(text, 0), Range::Beyond, "{text}");
        }
    }

    #[test]
    fn k13_pages_are_bounded_whatever_is_asked() {
        let names: Vec<String> = (0..3000).map(|number| format!("{number:04}")).collect();
        for (asked, expected) in [
            ("", PAGE),
            ("n=5", 5),
            ("n=0", 0),
            ("n=1000000000", LARGEST_PAGE),
            ("n=99999999999999999999999", LARGEST_PAGE),
        ] {
            let query = Query::of(Some(asked)).unwrap();
            let (page, next) = Page::of(&query).unwrap().cut(names.clone());
            assert_eq!((page.len(), next), (expected, expected.checked_sub(1).map(|at| names[at].clone())), "{asked}");
        }
        for bad in ["n=-1", "n=1e9", "n=", "n=x"] {
            assert_eq!(Page::of(&Query::of(Some(bad)).unwrap()).err().map(|it| it.status), Some(400), "{bad}");
        }
        let query = Query::of(Some("n=2&last=1~")).unwrap();
        assert_eq!(Page::of(&query).unwrap().cut(names).0, ["2000", "2001"]);
    }
}
