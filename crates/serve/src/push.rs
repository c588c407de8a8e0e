//! What is written: manifests and their names, and taking both away (distribution specification 1.1, "Push" and "Content
//! Management"). A manifest is taken when everything that it names is in its repository; blobs and names become durable
//! in one batch of the store, blobs first.

use std::collections::BTreeSet;

use corten_oci::{Closure, Descriptor, Digest, Document, MediaType, Reference, Repository};

use corten_store::StoreError;

use crate::answer::{Answer, Code, Refusal};
use crate::holdings::{Holdings, Kind};
use crate::pull;
use crate::route::Which;

/// Artifacts about one manifest: the store gives no image away that has more.
const MOST_REFERRERS: usize = 1000;

const DOCUMENTS: [&str; 4] =
    [MediaType::MANIFEST, MediaType::INDEX, MediaType::DOCKER_MANIFEST, MediaType::DOCKER_INDEX];

/// end-7.
pub(crate) fn put(
    holdings: &Holdings,
    repository: &Repository,
    which: &Which,
    content_type: Option<&str>,
    bytes: &[u8],
) -> Result<Answer, Refusal> {
    let invalid = |why: String| Refusal::new(Code::ManifestInvalid, why);
    let digest = Digest::of(bytes);
    if let Which::Digest(named) = which
        && *named != digest
    {
        let why = format!("the manifest that came has the digest {digest}");
        return Err(Refusal::new(Code::DigestInvalid, why));
    }
    let media_type = media_type(content_type, bytes)?;
    let described = Descriptor::new(media_type, digest, bytes.len() as u64);
    let document = Document::parse(&described, bytes).map_err(invalid)?;
    require_children(holdings, repository, &document)?;
    require_bounds(holdings, &described, bytes)?;

    let store = &holdings.store;
    let batch = store.batch();
    batch.put(bytes)?;
    batch.hold(repository, &digest)?;
    if let Which::Tag(tag) = which {
        let name = holdings.tag(repository, tag)?.map(|(name, _)| name);
        let plain = || Reference { repository: repository.clone(), tag: Some(tag.clone()), digest: None };
        batch.image(&name.unwrap_or_else(plain), &digest)?;
    }
    if let Some(subject) = document.subject() {
        let about = store.referrer_digests(&subject.digest)?;
        if about.len() >= MOST_REFERRERS && !about.contains(&digest) {
            let why = format!("{MOST_REFERRERS} artifacts are about {} already", subject.digest);
            return Err(Refusal::new(Code::Denied, why));
        }
        batch.referrer(&subject.digest, &document.as_referrer(&described))?;
    }
    batch.finish()?;
    holdings.settle(repository, &document);
    holdings.learn(repository, digest, None)?;
    let answer = Answer::new(201)
        .header("location", format!("/v2/{repository}/manifests/{digest}"))
        .header("docker-content-digest", digest.to_string());
    Ok(match document.subject() {
        Some(subject) => answer.header("oci-subject", subject.digest.to_string()),
        None => answer,
    })
}

/// What a manifest is: as the request says, and as it says itself (CVE-2021-41190).
fn media_type<'a>(content_type: Option<&'a str>, bytes: &[u8]) -> Result<&'a str, Refusal> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Own {
        media_type: Option<String>,
    }
    let invalid = |why: String| Refusal::new(Code::ManifestInvalid, why);
    let said = content_type.map(|text| text.split(';').next().unwrap_or_default().trim()).unwrap_or_default();
    let own: Own = serde_json::from_slice(bytes).map_err(|error| invalid(format!("it is no manifest: {error}")))?;
    let Some(known) = DOCUMENTS.iter().find(|known| **known == said) else {
        return Err(invalid(format!("Content-Type '{said}' is of no manifest that is taken here")));
    };
    let is_dockers = said.starts_with("application/vnd.docker.");
    match own.media_type {
        // Its digest does not cover the header: who reads it from the store would take it for an OCI one.
        None if is_dockers => Err(invalid("it does not say its own mediaType".to_owned())),
        Some(own) if own != *known => Err(invalid(format!("Content-Type is {said}, its own mediaType {own}"))),
        _ => Ok(known),
    }
}

fn require_children(holdings: &Holdings, repository: &Repository, document: &Document) -> Result<(), Refusal> {
    for child in document.children() {
        let kind = if Document::is_document(&child.media_type) { Kind::Document } else { Kind::Blob };
        // Noted before it is looked for: it is not pruned before the manifest has its name.
        let size = holdings.store.size(&child.digest)?;
        let is_here = size.is_some() && holdings.has(repository, &child.digest, kind)?;
        match size.filter(|_| is_here) {
            Some(size) if size == child.size => {}
            Some(size) => {
                let why = format!("{} has {size} bytes, the manifest says {}", child.digest, child.size);
                return Err(Refusal::new(Code::ManifestInvalid, why));
            }
            None => {
                let why = format!("{repository} does not have {}, which the manifest names", child.digest);
                return Err(Refusal::new(Code::ManifestBlobUnknown, why));
            }
        }
    }
    Ok(())
}

/// What this program could not read again, it does not take: indexes in indexes in indexes …
fn require_bounds(holdings: &Holdings, described: &Descriptor, bytes: &[u8]) -> Result<(), Refusal> {
    let fetch = |document: &Descriptor| -> Result<Vec<u8>, StoreError> {
        match document.digest == described.digest {
            true => Ok(bytes.to_vec()),
            false => holdings.store.bytes(&document.digest),
        }
    };
    Closure::default().add(described, &fetch).map_err(|error| match error {
        StoreError::Unsuitable(error) => Refusal::new(Code::ManifestInvalid, error.to_string()),
        other => other.into(),
    })
}

/// end-9.
pub(crate) fn delete(holdings: &Holdings, repository: &Repository, which: &Which) -> Result<Answer, Refusal> {
    match which {
        Which::Tag(tag) => {
            let unknown = || Refusal::new(Code::ManifestUnknown, format!("{repository} has no tag {tag}"));
            let (name, digest) = holdings.tag(repository, tag)?.ok_or_else(unknown)?;
            // As other registries have it, the manifest stays, and goes by its digest.
            let batch = holdings.store.batch();
            batch.hold(repository, &digest)?;
            batch.finish()?;
            holdings.store.forget(&name)?;
            // Another name of the same repository may have been hidden by this one.
            while let Some((name, _)) = holdings.tag(repository, tag)? {
                holdings.store.forget(&name)?;
            }
        }
        Which::Digest(_) => {
            let digest = pull::resolve(holdings, repository, which)?;
            delete_manifest(holdings, repository, &digest)?;
        }
    }
    Ok(Answer::new(202))
}

/// end-10: a blob that no manifest names. What a manifest names, goes with the last one that does.
pub(crate) fn delete_blob(holdings: &Holdings, repository: &Repository, digest: &Digest) -> Result<Answer, Refusal> {
    if !holdings.has(repository, digest, Kind::Blob)? {
        return Err(Refusal::new(Code::BlobUnknown, format!("{repository} has no such blob")));
    }
    holdings.give_up(repository, digest);
    if holdings.has(repository, digest, Kind::Blob)? {
        let why = "a manifest names this blob: it goes with the last that does";
        return Err(Refusal::new(Code::Unsupported, why));
    }
    Ok(Answer::new(202))
}

fn delete_manifest(holdings: &Holdings, repository: &Repository, digest: &Digest) -> Result<(), Refusal> {
    let all = holdings.all(repository)?.into_iter();
    let documents: Vec<Digest> =
        all.filter(|(_, kind)| *kind == Kind::Document).map(|(document, _)| document).collect();
    let about = |subject: &Digest| holdings.store.referrer_digests(subject).is_ok_and(|all| all.contains(digest));
    for document in &documents {
        let children = holdings.children(document)?;
        if children.is_some_and(|children| children.iter().any(|child| child.digest == *digest)) {
            let why = format!("{document}, which {repository} has, names it: delete that first");
            return Err(Refusal::new(Code::Denied, why));
        }
    }
    let bytes = holdings.store.bytes(digest)?;
    let described = holdings.store.describe(digest, &bytes)?;
    let mut subjects = documents.iter().filter(|one| about(one)).copied().collect::<Vec<_>>();
    subjects.extend(Document::parse(&described, &bytes).ok().and_then(|document| Some(document.subject()?.digest)));
    let tags: BTreeSet<_> =
        holdings.tags(repository)?.into_iter().filter(|(_, named)| named == digest).map(|(tag, _)| tag).collect();
    for tag in tags {
        while let Some((name, named)) = holdings.tag(repository, &tag)?
            && named == *digest
        {
            holdings.store.forget(&name)?;
        }
    }
    holdings.store.release(repository, digest)?;
    for subject in subjects {
        holdings.store.forget_referrer(&subject, digest)?;
    }
    Ok(())
}
