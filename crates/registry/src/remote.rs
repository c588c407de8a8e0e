//! One repository at a registry: what is there, what hangs on it, what goes up (distribution specification 1.1).

use std::fmt;
use std::io::Read;
use std::sync::atomic::AtomicBool;

use corten_net::{Client, Response, Url};
use corten_oci::{Descriptor, Digest, Index, LARGEST_DOCUMENT, Manifest, MediaType, Reference, Repository, Tag};
use serde::Deserialize;

use crate::address;
use crate::call::{Call, Line};
use crate::credentials::{Credentials, Keychain};
use crate::error::{Doing, RegistryError, Words};
use crate::mirror::Mirror;
use crate::token::{Doorman, Scope, escape};

/// What we read, in the order of `Accept`.
const DOCUMENTS: [&str; 4] =
    [MediaType::INDEX, MediaType::MANIFEST, MediaType::DOCKER_INDEX, MediaType::DOCKER_MANIFEST];
/// Pages of a list that are read.
const MOST_PAGES: usize = 1000;
/// Tags of one page.
const PAGE: usize = 1000;
/// Bytes of a page.
const LONGEST_PAGE: u64 = 4 << 20;
/// Entries of a list, of all its pages.
const MOST_ENTRIES: usize = 1_000_000;
/// Bytes of a list, of all its pages.
const LONGEST_LIST: usize = 64 << 20;

/// Reaches registries.
pub struct Registry<'a> {
    /// The network.
    pub client: &'a Client,
    /// Who we are.
    pub keychain: &'a dyn Keychain,
    /// Hosts, with port, that are reached without TLS because the user says so.
    pub plain: Vec<String>,
    /// Who is asked first.
    pub mirrors: Vec<Mirror>,
}

/// A repository at its registry.
pub struct Remote<'a> {
    pub(crate) line: Line<'a>,
    /// As people write it.
    pub repository: Repository,
    /// Without host.
    path: String,
    /// Asked first; they have none themselves.
    pub(crate) mirrors: Vec<Remote<'a>>,
    /// It is a mirror that could not be reached.
    pub(crate) away: AtomicBool,
}

/// By name or by content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// Floats.
    Tag(Tag),
    /// Does not.
    Digest(Digest),
}

impl Which {
    /// What a reference means; `latest` where it says nothing.
    pub fn of(reference: &Reference) -> Result<Self, RegistryError> {
        match (reference.digest, &reference.tag) {
            (Some(digest), _) => Ok(Self::Digest(digest)),
            (None, Some(tag)) => Ok(Self::Tag(tag.clone())),
            (None, None) => {
                Tag::new("latest").map(Self::Tag).map_err(|error| RegistryError::Unusable(error.to_string()))
            }
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => fmt::Display::fmt(tag, f),
            Self::Digest(digest) => fmt::Display::fmt(digest, f),
        }
    }
}

/// A manifest or index as it came, hashed.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// What it is.
    pub descriptor: Descriptor,
    /// As they came.
    pub bytes: Vec<u8>,
}

/// A small document as it came.
struct Page {
    bytes: Vec<u8>,
    /// `Content-Type`, without parameters.
    kind: Option<String>,
    /// Where the next one is, of a list with several.
    next: Option<String>,
}

impl<'a> Registry<'a> {
    /// A repository, and its mirrors. Asks the keychain; connects to nothing, but to a registry on this machine: whether it
    /// speaks TLS.
    pub fn remote(&self, repository: &Repository) -> Result<Remote<'a>, RegistryError> {
        let places = self.mirrors.iter().filter_map(|mirror| mirror.place(repository));
        let told = |error: &RegistryError| self.client.tell(&format!("a mirror is passed over: {error}"));
        let mirrors = places.filter_map(|place| self.one(&place).inspect_err(told).ok()).collect();
        Ok(Remote { mirrors, ..self.one(repository)? })
    }

    fn one(&self, repository: &Repository) -> Result<Remote<'a>, RegistryError> {
        let Repository { host, path } = repository.normalised();
        let host = host.unwrap_or_default();
        let base = address::of_host(&host, self.plain.contains(&host), |url| self.client.speaks_tls(url))
            .ok_or_else(|| RegistryError::Unusable(format!("'{host}' is no host of a registry")))?;
        let credentials = self.keychain.credentials(repository)?;
        let line = Line { client: self.client, name: host, base, credentials, doorman: Doorman::default() };
        Ok(Remote { line, repository: repository.clone(), path, mirrors: Vec::new(), away: AtomicBool::new(false) })
    }

    /// Does the registry let somebody in? Asks for nothing else.
    pub fn check(&self, host: &str, credentials: Credentials) -> Result<(), RegistryError> {
        let plain = self.plain.iter().any(|plain| plain == host);
        let base = address::of_host(host, plain, |url| self.client.speaks_tls(url))
            .ok_or_else(|| RegistryError::Unusable(format!("'{host}' is no host of a registry")))?;
        let (name, doorman) = (host.to_owned(), Doorman::default());
        let line = Line { client: self.client, name, base: base.clone(), credentials, doorman };
        let doing = Doing(format!("logging in at {host}"));
        let answer = line.call(&doing, &Call::new("GET", base, &[]))?;
        match answer.status {
            200 => Ok(()),
            _ => Err(line.refusal(&doing, answer)),
        }
    }
}

impl Remote<'_> {
    pub(crate) fn doing(&self, verb: &str, what: &dyn fmt::Display) -> Doing {
        Doing(format!("{verb}{}{what}", self.repository))
    }

    pub(crate) fn url(&self, doing: &Doing, below: &str) -> Result<Url, RegistryError> {
        self.line.url(doing, &format!("{}/{below}", self.path))
    }

    pub(crate) fn pull_scope(&self) -> Vec<Scope> {
        vec![format!("repository:{}:pull", self.path)]
    }

    pub(crate) fn push_scope(&self) -> Vec<Scope> {
        vec![format!("repository:{}:pull,push", self.path)]
    }

    pub(crate) fn resolve_here(&self, which: &Which) -> Result<Option<Digest>, RegistryError> {
        self.resolve_as(which, &self.pull_scope())
    }

    fn resolve_as(&self, which: &Which, scopes: &[Scope]) -> Result<Option<Digest>, RegistryError> {
        let doing = self.doing("asking for ", &Named(which));
        let mut call = Call::new("HEAD", self.url(&doing, &format!("manifests/{which}"))?, scopes);
        call.headers.push(("accept", DOCUMENTS.join(", ")));
        let answer = self.line.call(&doing, &call)?;
        match answer.status {
            200 => {}
            404 => return Ok(None),
            _ => return Err(self.line.refusal(&doing, answer)),
        }
        let said = answer.header("docker-content-digest").and_then(|text| text.parse().ok());
        match (said, which) {
            (Some(digest), Which::Tag(_)) => Ok(Some(digest)),
            (_, Which::Digest(digest)) => Ok(Some(*digest)),
            (None, Which::Tag(_)) => self.manifest_here(which).map(|fetched| Some(fetched.descriptor.digest)),
        }
    }

    pub(crate) fn manifest_here(&self, which: &Which) -> Result<Fetched, RegistryError> {
        match (self.manifest_once(which), which) {
            (Err(RegistryError::Wrong { .. }), Which::Digest(_)) => self.manifest_once(which),
            (fetched, _) => fetched,
        }
    }

    fn manifest_once(&self, which: &Which) -> Result<Fetched, RegistryError> {
        let doing = self.doing("pulling ", &Named(which));
        let scopes = self.pull_scope();
        let mut call = Call::new("GET", self.url(&doing, &format!("manifests/{which}"))?, &scopes);
        call.headers.push(("accept", DOCUMENTS.join(", ")));
        let Page { bytes, kind, .. } = self.page(&doing, &call, LARGEST_DOCUMENT)?;
        let digest = Digest::of(&bytes);
        if let Which::Digest(wanted) = which
            && *wanted != digest
        {
            return Err(self.line.wrong(&doing, format!("what came has the digest {digest}")));
        }
        let media_type = self.media_type(&doing, &bytes, kind)?;
        Ok(Fetched { descriptor: Descriptor::new(&media_type, digest, bytes.len() as u64), bytes })
    }

    /// What a document is: as it says itself, which must be what the registry says of it (CVE-2021-41190).
    fn media_type(&self, doing: &Doing, bytes: &[u8], announced: Option<String>) -> Result<String, RegistryError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Kind {
            media_type: Option<String>,
        }
        let wrong = |why: String| self.line.wrong(doing, why);
        let own =
            serde_json::from_slice::<Kind>(bytes).map_err(|error| wrong(format!("it is no manifest: {error}")))?;
        let known = |text: &String| DOCUMENTS.contains(&text.as_str());
        let media_type = match (own.media_type, announced.filter(known)) {
            (Some(own), Some(announced)) if own != announced => {
                return Err(wrong(format!("the registry says that it is {announced}, it says itself {own}")));
            }
            (Some(own), _) => own,
            (None, Some(announced)) => announced,
            (None, None) => MediaType::MANIFEST.to_owned(),
        };
        let parsed = match media_type.as_str() {
            MediaType::INDEX | MediaType::DOCKER_INDEX => Index::parse(bytes).err(),
            MediaType::MANIFEST | MediaType::DOCKER_MANIFEST => Manifest::parse(bytes).err(),
            other => return Err(wrong(format!("it is of a kind that is not known: {other}"))),
        };
        parsed.map_or(Ok(media_type), |error| Err(wrong(error.to_string())))
    }

    /// A whole small document. One that breaks off is asked for again, as often as the client retries.
    fn page(&self, doing: &Doing, call: &Call<'_>, limit: u64) -> Result<Page, RegistryError> {
        let settings = self.line.client.settings();
        let (mut left, mut pause) = (settings.retries, settings.pause);
        loop {
            let answer = self.line.call(doing, call)?;
            if answer.status != 200 {
                return Err(self.line.refusal(doing, answer));
            }
            let kind = answer.header("content-type");
            let kind = kind.map(|text| text.split(';').next().unwrap_or_default().trim().to_owned());
            let next = answer.header("link").and_then(next_page).map(str::to_owned);
            let mut bytes = Vec::new();
            match answer.body.take(limit + 1).read_to_end(&mut bytes) {
                Ok(_) if bytes.len() as u64 > limit => {
                    return Err(self.line.wrong(doing, format!("the answer is longer than {limit} bytes")));
                }
                Ok(_) => return Ok(Page { bytes, kind, next }),
                Err(error) if left == 0 => {
                    return Err(self.line.wrong(doing, format!("the answer broke off: {error}")));
                }
                Err(_) => left -= 1,
            }
            self.line.client.wait(&self.line.base, None, pause);
            pause = pause.saturating_mul(2);
        }
    }

    /// The page that follows, never at another host.
    fn next(&self, doing: &Doing, page: &Url, next: &str) -> Result<Url, RegistryError> {
        let to = page.join(next).map_err(|error| self.line.wrong(doing, format!("the next page is at {error}")))?;
        if !to.same_origin(&self.line.base) {
            return Err(self.line.wrong(doing, format!("the next page would be at another host, {}", to.host())));
        }
        if to == *page {
            return Err(self.line.wrong(doing, "a page is its own next one".to_owned()));
        }
        Ok(to)
    }

    /// All pages of a list, in order; `take` takes in one, and says how many entries it had.
    fn pages(
        &self,
        doing: &Doing,
        first: Url,
        scopes: &[Scope],
        mut take: impl FnMut(Page) -> Result<usize, String>,
    ) -> Result<(), RegistryError> {
        let (mut url, mut entries, mut bytes) = (first, 0, 0);
        for _ in 0..MOST_PAGES {
            let mut page = self.page(doing, &Call::new("GET", url.clone(), scopes), LONGEST_PAGE)?;
            let next = page.next.take();
            bytes += page.bytes.len();
            if bytes > LONGEST_LIST {
                return Err(self.line.wrong(doing, format!("the list has more than {LONGEST_LIST} bytes")));
            }
            entries += take(page).map_err(|why| self.line.wrong(doing, why))?;
            if entries > MOST_ENTRIES {
                return Err(self.line.wrong(doing, format!("the list has more than {MOST_ENTRIES} entries")));
            }
            match next {
                Some(next) => url = self.next(doing, &url, &next)?,
                None => return Ok(()),
            }
        }
        Err(self.line.wrong(doing, format!("there are more than {MOST_PAGES} pages")))
    }

    /// Is the blob there, and of this size?
    pub fn has_blob(&self, blob: &Descriptor) -> Result<bool, RegistryError> {
        let doing = self.doing("asking for a blob of ", &"");
        let scopes = self.push_scope();
        let url = self.url(&doing, &format!("blobs/{}", blob.digest))?;
        let answer = self.line.call(&doing, &Call::new("HEAD", url, &scopes))?;
        match answer.status {
            200 => Ok(answer.length().is_none_or(|length| length == blob.size)),
            404 => Ok(false),
            _ => Err(self.line.refusal(&doing, answer)),
        }
    }

    /// A blob's bytes from one on, of this one alone (see [`Remote::sources`]): status 206, or 200 where the registry begins at the first. Not hashed yet.
    pub fn blob(&self, blob: &Descriptor, from: u64) -> Result<Response, RegistryError> {
        let doing = self.doing("pulling a blob of ", &"");
        let scopes = self.pull_scope();
        let mut call = Call::new("GET", self.url(&doing, &format!("blobs/{}", blob.digest))?, &scopes);
        if from > 0 {
            call.headers.push(("range", format!("bytes={from}-")));
        }
        let answer = self.line.call(&doing, &call)?;
        match answer.status {
            200 => Ok(answer),
            206 if answer.starts_at(from) => Ok(answer),
            206 => Err(self.line.wrong(&doing, format!("asked for bytes from {from} on, the registry sent others"))),
            404 => {
                let (host, words) = (answer.url.host().to_owned(), Words::read(answer.body));
                Err(self.line.wrong(&doing, format!("{host} names {} and does not have it{words}", blob.digest)))
            }
            _ => Err(self.line.refusal(&doing, answer)),
        }
    }

    /// Puts a manifest or index under a name. Everything that it names must be there.
    pub fn put_manifest(&self, which: &Which, media_type: &str, bytes: &[u8]) -> Result<(), RegistryError> {
        let doing = self.doing("pushing ", &Named(which));
        let scopes = self.push_scope();
        let mut call = Call::new("PUT", self.url(&doing, &format!("manifests/{which}"))?, &scopes);
        call.headers.push(("content-type", media_type.to_owned()));
        call.body = bytes;
        let answer = self.line.call(&doing, &call)?;
        match answer.status {
            200..=202 => {}
            // A blob that was lost again, or a repository that has to be made first: in the registry's words.
            404 => {
                let (host, words) = (answer.url.host().to_owned(), Words::read(answer.body));
                return Err(RegistryError::Status { doing, host, status: 404, wait: None, words });
            }
            _ => return Err(self.line.refusal(&doing, answer)),
        }
        let said = answer.header("docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
        match said.filter(|said| *said != Digest::of(bytes)) {
            Some(other) => Err(self.line.wrong(&doing, format!("the registry calls it {other}: it has changed it"))),
            None => Ok(()),
        }
    }

    /// Puts a manifest or index under a tag, and looks whether it is there then: some take all and keep nothing.
    pub fn put_tag(&self, tag: &Tag, media_type: &str, bytes: &[u8]) -> Result<(), RegistryError> {
        let which = Which::Tag(tag.clone());
        self.put_manifest(&which, media_type, bytes)?;
        match self.resolve_as(&which, &self.push_scope())? {
            // Somebody else's, perhaps: the last one wins.
            Some(_) => Ok(()),
            None => {
                let doing = self.doing("pushing ", &Named(&which));
                Err(self.line.wrong(&doing, format!("{} took it and does not have it", self.line.base.host())))
            }
        }
    }

    /// All tags, in the registry's order.
    pub fn tags(&self) -> Result<Vec<String>, RegistryError> {
        #[derive(Deserialize)]
        struct List {
            tags: Option<Vec<String>>,
        }
        let doing = self.doing("listing the tags of ", &"");
        let first = self.url(&doing, &format!("tags/list?n={PAGE}"))?;
        let mut tags = Vec::new();
        self.pages(&doing, first, &self.pull_scope(), |page| {
            let list: List =
                serde_json::from_slice(&page.bytes).map_err(|error| format!("the list cannot be read: {error}"))?;
            let more = list.tags.unwrap_or_default();
            let count = more.len();
            tags.extend(more);
            Ok(count)
        })?;
        Ok(tags)
    }

    pub(crate) fn referrers_here(&self, subject: &Digest) -> Result<Vec<Descriptor>, RegistryError> {
        Ok(self.known_referrers(subject)?.unwrap_or_default())
    }

    /// None where there is neither a list nor the tag that stands for it.
    pub(crate) fn known_referrers(&self, subject: &Digest) -> Result<Option<Vec<Descriptor>>, RegistryError> {
        match self.listed_referrers(subject)? {
            Some(listed) => Ok(Some(listed)),
            None => self.referrers_by_tag(subject),
        }
    }

    /// By the registry's own list; none where it has none. What it says when it takes a manifest (`OCI-Subject`) is not
    /// believed (sigstore-js#1183), nor a page that is no list.
    fn listed_referrers(&self, subject: &Digest) -> Result<Option<Vec<Descriptor>>, RegistryError> {
        let doing = self.doing("asking what hangs on ", &format!("@{subject}"));
        let mut listed = Some(Vec::new());
        let first = self.url(&doing, &format!("referrers/{subject}"))?;
        let walked = self.pages(&doing, first, &self.pull_scope(), |page| {
            let known = page.kind.as_deref().is_none_or(|kind| kind == MediaType::INDEX);
            let Some(all) = listed.as_mut().filter(|_| known) else {
                listed = None;
                return Ok(0);
            };
            let index = Index::parse(&page.bytes).map_err(|error| error.to_string())?;
            let count = index.manifests.len();
            all.extend(index.manifests);
            Ok(count)
        });
        match walked {
            Ok(()) => Ok(listed),
            Err(RegistryError::NotFound { .. } | RegistryError::Status { status: 400 | 405 | 406 | 501, .. }) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn referrers_by_tag(&self, subject: &Digest) -> Result<Option<Vec<Descriptor>>, RegistryError> {
        match self.manifest_here(&Which::Tag(referrers_tag(subject)?)) {
            Ok(fetched) => Ok(Some(Index::parse(&fetched.bytes).map(|index| index.manifests).unwrap_or_default())),
            Err(RegistryError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Does the registry list referrers itself?
    pub fn lists_referrers(&self, subject: &Digest) -> Result<bool, RegistryError> {
        Ok(self.listed_referrers(subject)?.is_some())
    }
}

/// The tag that stands for the list of referrers, where a registry has none.
pub(crate) fn referrers_tag(subject: &Digest) -> Result<Tag, RegistryError> {
    Tag::new(subject.to_string().replace(':', "-")).map_err(|error| RegistryError::Unusable(error.to_string()))
}

/// `<…>; rel="next"` (RFC 8288).
fn next_page(link: &str) -> Option<&str> {
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    parameters.contains("rel=\"next\"").then_some(target).or_else(|| parameters.contains("rel=next").then_some(target))
}

/// `:tag` or `@digest`.
struct Named<'a>(&'a Which);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Which::Tag(tag) => write!(f, ":{tag}"),
            Which::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

/// A query's `from=` and `mount=`.
pub(crate) fn mount_query(digest: &Digest, from: &Repository) -> String {
    format!("mount={}&from={}", digest, escape(&from.normalised().path))
}
