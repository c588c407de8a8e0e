//! Images leave the machine and come back: push, pull, resolve, login.

use std::collections::BTreeMap;
use std::sync::Mutex;

use corten_diagnostic::{Failure, Report};
use corten_install::fetch::{Download, FetchError, fetch_all_from};
use corten_net::NetError;
use corten_oci::{
    Architecture, Closure, Descriptor, Digest, Document, ImageConfig, Index, Manifest, MediaType, Reference,
    Repository, Tag, Unsuitable,
};
use corten_registry::{Credentials, Fetched, Mirror, PushOptions, Pushed, Registry, RegistryError, Remote, Which};

use crate::base::HOST;
use crate::blobs::Everywhere;
use crate::places;
use crate::world::World;

/// Connections at a time: more than processors, they wait for the network.
const CONNECTIONS: usize = 6;

/// How many artifacts of an image are pulled with it, and how large they may be: a registry may list millions.
const MOST_REFERRERS: usize = 32;
const LARGEST_REFERRER: u64 = 256 << 20;

/// Which platforms of an index are pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platforms {
    /// This one.
    One(Architecture),
    /// All; the name points to the index then.
    All,
}

impl Platforms {
    /// This machine's.
    pub const OWN: Self = Self::One(HOST);
}

/// How registries are reached.
#[derive(Debug, Clone, Default)]
pub struct RegistryOptions {
    /// Hosts, with port, that are reached without TLS.
    pub plain: Vec<String>,
    /// Who is asked before a registry, in this order.
    pub mirrors: Vec<Mirror>,
}

/// An image that was pulled.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// What the name points to now.
    pub digest: Digest,
    /// Blobs and bytes that had to be fetched.
    pub fetched: (usize, u64),
    /// Blobs and bytes that the store had.
    pub there: (usize, u64),
}

/// The way to them: what the command says goes before what the user says for all.
pub fn registry<'w>(world: &World<'w>, options: &RegistryOptions) -> Registry<'w> {
    let usual = world.registries;
    let plain = options.plain.iter().chain(&usual.plain).cloned().collect();
    let is_said = |mirror: &&Mirror| !options.mirrors.iter().any(|said| said.of() == mirror.of());
    let mirrors = options.mirrors.iter().chain(usual.mirrors.iter().filter(is_said)).cloned().collect();
    Registry { client: world.client, keychain: world.auth, plain, mirrors }
}

/// Brings an image of the store to a registry, with all that hangs on it.
pub fn push(
    image: &Digest,
    to: &[Reference],
    options: &RegistryOptions,
    world: &World<'_>,
) -> Result<Vec<(Repository, Pushed)>, Report> {
    let root = describe(image, world)?;
    let mut by_repository: BTreeMap<&Repository, Vec<Tag>> = BTreeMap::new();
    for reference in to {
        by_repository.entry(&reference.repository).or_default().extend(reference.tag.clone());
    }
    let registry = registry(world, options);
    let blobs = Everywhere { world, options };
    let mut all = Vec::new();
    for (repository, tags) in by_repository {
        all.push((repository.clone(), push_whole(&registry.remote(repository)?, &root, &tags, &blobs)?));
    }
    Ok(all)
}

/// The image, then what hangs on it; names come last, so that whoever finds one finds the bill of materials, too.
fn push_whole(remote: &Remote<'_>, root: &Descriptor, tags: &[Tag], blobs: &Everywhere<'_>) -> Result<Pushed, Report> {
    let world = blobs.world;
    let mut pushed = Pushed::default();
    let mut roots = vec![root.clone()];
    let mut whole = closure(root, world)?;
    for (document, _) in &whole.documents {
        roots.extend(world.store.referrers(&document.digest)?);
    }
    for referrer in roots.iter().skip(1) {
        whole.blobs.extend(closure(referrer, world)?.blobs);
    }
    let neighbours = places::known(&remote.repository, &whole.blobs, world)?;
    let options = PushOptions { jobs: CONNECTIONS, neighbours };
    for root in &roots {
        pushed += corten_registry::push(remote, root, &[], blobs, &options, world.events)?;
    }
    let bytes = world.store.bytes(&root.digest)?;
    for tag in tags {
        remote.put_tag(tag, &root.media_type.0, &bytes)?;
    }
    // Manifests, too: what is damaged here can be had again there.
    let documents = whole.documents.iter().map(|(document, _)| document).chain(&roots);
    places::remember(&remote.repository, whole.blobs.iter().chain(documents), world)?;
    Ok(pushed)
}

fn closure(root: &Descriptor, world: &World<'_>) -> Result<Closure, Report> {
    let mut closure = Closure::default();
    closure.add::<corten_store::StoreError>(root, &|document| world.store.bytes(&document.digest))?;
    Ok(closure)
}

/// The descriptor of an image of the store.
pub fn describe(image: &Digest, world: &World<'_>) -> Result<Descriptor, Report> {
    describe_bytes(image, &world.store.bytes(image)?)
}

/// The descriptor of a manifest or index, by what it says of itself.
pub(crate) fn describe_bytes(image: &Digest, bytes: &[u8]) -> Result<Descriptor, Report> {
    let media_type = match (Manifest::parse(bytes), Index::parse(bytes)) {
        (Ok(manifest), _) => manifest.media_type.map_or_else(|| MediaType::MANIFEST.to_owned(), |found| found.0),
        (_, Ok(index)) => index.media_type.map_or_else(|| MediaType::INDEX.to_owned(), |found| found.0),
        (Err(error), _) => return Err(Failure::input(format!("{image} is no image: {error}")).into()),
    };
    Ok(Descriptor::new(&media_type, *image, bytes.len() as u64))
}

/// The digest that a name has at its registry now.
pub fn resolve(name: &Reference, options: &RegistryOptions, world: &World<'_>) -> Result<Digest, Report> {
    let remote = registry(world, options).remote(&name.repository)?;
    let found = remote.resolve(&Which::of(name)?)?;
    found.ok_or_else(|| {
        Failure::world(format!("there is no {name} at its registry"))
            .hint("check the name; some registries say this also of what one may not see: `corten login`")
            .into()
    })
}

/// Brings an image of a registry to the store, under its name.
pub fn pull(
    name: &Reference,
    platforms: Platforms,
    options: &RegistryOptions,
    world: &World<'_>,
) -> Result<Pulled, Report> {
    let remote = registry(world, options).remote(&name.repository)?;
    let fetched = remote.manifest(&Which::of(name)?)?;
    let root = choose(&remote, fetched, platforms, name)?;
    let documents = Mutex::new(BTreeMap::from([(root.descriptor.digest, root.bytes)]));
    let mut closure = Closure::default();
    closure.add::<RegistryError>(&root.descriptor, &|document| {
        let known = |documents: &BTreeMap<Digest, Vec<u8>>| documents.get(&document.digest).cloned();
        if let Some(bytes) = known(&documents.lock().unwrap_or_else(std::sync::PoisonError::into_inner)) {
            return Ok(bytes);
        }
        let fetched = remote.manifest(&Which::Digest(document.digest))?;
        if fetched.descriptor.size != document.size {
            let why = format!("it has {} bytes, its descriptor says {}", fetched.descriptor.size, document.size);
            return Err(Unsuitable { digest: document.digest, why }.into());
        }
        let mut documents = documents.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        documents.insert(document.digest, fetched.bytes.clone());
        Ok(fetched.bytes)
    })?;
    let (there, missing): (Vec<_>, Vec<_>) =
        closure.blobs.into_iter().partition(|blob| matches!(world.store.is_whole(&blob.digest), Ok(true)));
    fetch(&remote, &missing, world)?;
    closure.documents.iter().try_for_each(|(_, document)| check_image(name, document, world))?;
    let batch = world.store.batch();
    let documents = documents.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    documents.values().try_for_each(|bytes| batch.put(bytes).map(drop))?;
    batch.image(&Reference { digest: None, ..name.clone() }, &root.descriptor.digest)?;
    batch.finish()?;
    places::remember(&name.repository, missing.iter().chain(&there), world)?;
    let documents: Vec<Digest> = documents.into_keys().collect();
    pull_referrers(&remote, &documents, world)?;
    let sum = |blobs: &[Descriptor]| (blobs.len(), blobs.iter().map(|blob| blob.size).sum());
    Ok(Pulled { digest: root.descriptor.digest, fetched: sum(&missing), there: sum(&there) })
}

/// Whoever made it may have made it wrongly: what nobody can start gets no name.
fn check_image(name: &Reference, document: &Document, world: &World<'_>) -> Result<(), Report> {
    let Document::Manifest(manifest) = document else { return Ok(()) };
    if !matches!(manifest.config.media_type.0.as_str(), MediaType::CONFIG | MediaType::DOCKER_CONFIG) {
        return Ok(());
    }
    let refuse = |why: String| {
        Failure::world(format!("pulling {name}: it is no image that can be started: {why}"))
            .hint("whoever pushed it has to make it anew; nothing got its name")
    };
    let bytes = world.store.bytes(&manifest.config.digest)?;
    let config = ImageConfig::parse(&bytes).map_err(|error| refuse(error.to_string()))?;
    let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
    match layers == diff_ids {
        true => Ok(()),
        false => Err(refuse(format!("its manifest has {layers} layers, its config {diff_ids}")).into()),
    }
}

/// What hangs on the image comes along: its bill of materials, its release.
fn pull_referrers(remote: &Remote<'_>, documents: &[Digest], world: &World<'_>) -> Result<(), Report> {
    for subject in documents {
        for listed in remote.referrers(subject)?.into_iter().take(MOST_REFERRERS) {
            let found = remote.manifest(&Which::Digest(listed.digest))?;
            let Ok(manifest) = Manifest::parse(&found.bytes) else { continue };
            // What a list says of it, it must say itself.
            if manifest.subject.as_ref().is_none_or(|about| about.digest != *subject) {
                continue;
            }
            let blobs: Vec<Descriptor> = manifest.layers.iter().chain([&manifest.config]).cloned().collect();
            if blobs.iter().map(|blob| blob.size).fold(0, u64::saturating_add) > LARGEST_REFERRER {
                world.events.warning(&format!("{} hangs on the image, and is left behind: it is large", listed.digest));
                continue;
            }
            fetch(remote, &blobs, world)?;
            let batch = world.store.batch();
            batch.put(&found.bytes)?;
            let artifact_type = manifest.artifact_type.clone().unwrap_or_else(|| manifest.config.media_type.clone());
            let descriptor = Descriptor { artifact_type: Some(artifact_type), ..found.descriptor };
            batch.referrer(subject, &descriptor)?;
            batch.finish()?;
        }
    }
    Ok(())
}

/// Brings blobs to the store, several at a time, checked.
pub fn fetch(remote: &Remote<'_>, blobs: &[Descriptor], world: &World<'_>) -> Result<(), Report> {
    let sources = remote.sources();
    // The largest first: else it would come alone at the end.
    let mut blobs: Vec<&Descriptor> = blobs.iter().collect();
    blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    let downloads: Vec<Download> = blobs
        .into_iter()
        .map(|blob| Download {
            urls: sources.iter().map(|source| source.repository.to_string()).collect(),
            digest: blob.digest,
            size: Some(blob.size),
            what: format!("blob {}", blob.digest.short()),
        })
        .collect();
    let open = |number: usize, download: &Download, from: u64| {
        let blob = Descriptor::new(MediaType::LAYER, download.digest, download.size.unwrap_or_default());
        sources.get(number).unwrap_or(&remote).blob(&blob, from).map_err(|error| match error {
            RegistryError::Status { status: 416, host, .. } => {
                FetchError::Net { what: download.what.clone(), source: NetError::Status { url: host, status: 416 } }
            }
            other => FetchError::Refused(Box::new(other)),
        })
    };
    let retries = world.client.settings().retries;
    Ok(fetch_all_from(&open, retries, world.store, &downloads, CONNECTIONS, world.events)?)
}

/// Brings a manifest or an index to the store, by its digest.
pub(crate) fn fetch_document(
    from: &Repository,
    digest: &Digest,
    options: &RegistryOptions,
    world: &World<'_>,
) -> Result<(), Report> {
    let found = registry(world, options).remote(from)?.manifest(&Which::Digest(*digest))?;
    let batch = world.store.batch();
    batch.put(&found.bytes)?;
    Ok(batch.finish()?)
}

/// Brings a blob to the store.
pub(crate) fn fetch_blob(
    from: &Repository,
    blob: &Descriptor,
    options: &RegistryOptions,
    world: &World<'_>,
) -> Result<(), Report> {
    fetch(&registry(world, options).remote(from)?, std::slice::from_ref(blob), world)
}

/// Of an index the wanted platform's image.
fn choose(remote: &Remote<'_>, found: Fetched, platforms: Platforms, name: &Reference) -> Result<Fetched, Report> {
    let is_index = Index::parse(&found.bytes).ok();
    let (Some(index), Platforms::One(architecture)) = (is_index, platforms) else { return Ok(found) };
    let fits = |one: &&Descriptor| {
        one.platform.as_ref().is_some_and(|one| one.os == "linux" && one.architecture == architecture.go_name())
    };
    let Some(one) = index.manifests.iter().find(fits) else {
        let known: Vec<String> =
            index.manifests.iter().filter_map(|one| Some(one.platform.as_ref()?.to_string())).collect();
        return Err(Failure::input(format!("{name} has no image for linux/{architecture}"))
            .hint(format!("it has some for {}: --platform", known.join(", ")))
            .into());
    };
    Ok(remote.manifest(&Which::Digest(one.digest))?)
}

/// Asks the registry whether it lets somebody in; then keeps user and password. Says where.
pub fn login(
    host: &str,
    user: &str,
    password: &str,
    options: &RegistryOptions,
    world: &World<'_>,
) -> Result<String, Report> {
    let registry = registry(world, options);
    registry.check(host, Credentials::of(user, password))?;
    world.auth.keep(host, user, password)
}
