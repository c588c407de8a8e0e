//! The bill of materials of a built image: written from what the layers were made of, hung on the image, remembered.

use std::collections::HashMap;
use std::io::Read;

use corten_attest::bom::{BomFile, BomInput, BomKind, BomPackage, FileSums, SPDX_TYPE, spdx::spdx};
use corten_attest::{ATTESTATION_MANIFEST, PREDICATE, REFERENCE_DIGEST, REFERENCE_TYPE, SPDX_PREDICATE, referrer};
use corten_diagnostic::{Failure, Report};
use corten_oci::{Architecture, Descriptor, Digest, ImageConfig, Index, Kind, Manifest, Platform};
use corten_package::{Purl, PurlParts};
use corten_plan::{Built, BuiltLayer, FetchedFile, Installed};
use corten_store::{Key, Store, TreeLayer};

use crate::base::HOST;
use crate::blobs;
use crate::plan::Planned;
use crate::registry::RegistryOptions;
use crate::remote;
use crate::scan;
use crate::sdists::Needed;
use crate::world::World;

/// Raised when the text changes for the same image.
const FORMAT: u32 = 2;

/// File name for those who download it.
const TITLE: &str = "sbom.spdx.json";

/// The manifest of the bill of materials of `built`, in the store.
pub fn attach(planned: &Planned, built: &Built, with_files: bool, world: &World<'_>) -> Result<Descriptor, Report> {
    let key = Key(Digest::of(format!("sbom {FORMAT} {with_files} {} {}", built.image.manifest.digest, world.tool)));
    if let Some(known) = world.store.record(&key)?.and_then(|bytes| serde_json::from_slice::<Descriptor>(&bytes).ok())
        && is_attached(&known, built, world.store)?
    {
        return Ok(known);
    }
    let bytes = spdx(&input(planned, built, with_files, world)?).map_err(|error| Failure::bug(error.to_string()))?;
    let made = referrer(&built.image.manifest, SPDX_TYPE, TITLE, bytes)
        .map_err(|error| Failure::bug(format!("writing the bill of materials: {error}")))?;
    let record = serde_json::to_vec(&made.descriptor).unwrap_or_default();
    let batch = world.store.batch();
    batch.put(&made.layer)?;
    batch.put(&made.config)?;
    batch.put(&made.manifest)?;
    batch.referrer(&built.image.manifest.digest, &made.descriptor)?;
    batch.record(&key, &record)?;
    batch.finish()?;
    Ok(made.descriptor)
}

/// A remembered bill of materials counts while it hangs on the image, and every byte of it is right.
fn is_attached(known: &Descriptor, built: &Built, store: &Store) -> Result<bool, Report> {
    let hangs = store.referrers(&built.image.manifest.digest)?.iter().any(|referrer| referrer == known);
    if !hangs || !store.is_whole(&known.digest)? {
        return Ok(false);
    }
    let manifest = Manifest::parse(&store.bytes(&known.digest)?);
    let layer = manifest.ok().and_then(|manifest| manifest.layers.into_iter().next());
    layer.map_or(Ok(false), |layer| Ok(store.is_whole(&layer.digest)?))
}

/// The image of `wanted`; without a wish, of an index the one for this machine, else its first. Says which was taken.
fn one_platform(image: &Digest, wanted: Option<Architecture>, world: &World<'_>) -> Result<Digest, Report> {
    let absent = |has: &[String], wanted: &str| {
        let failure = Failure::input(format!("image {image} is not for {wanted}"));
        if has.is_empty() { failure } else { failure.hint(format!("it is for {}", has.join(", "))) }
    };
    if world.store.size(image)?.is_none() {
        return Ok(*image);
    }
    let bytes = world.store.bytes(image)?;
    let wanted = wanted.map(Platform::linux);
    let Ok(index) = Index::parse(&bytes) else {
        let platform = platform(&bytes, world.store);
        return match (wanted, platform) {
            (Some(wanted), Some(platform)) if wanted != platform => {
                Err(absent(&[platform.to_string()], &wanted.to_string()).into())
            }
            _ => Ok(*image),
        };
    };
    let platforms = index.manifests.iter().filter_map(|one| Some((one.platform.as_ref()?, one.digest)));
    // Attestations are for no platform.
    let platforms: Vec<(&Platform, Digest)> = platforms.filter(|(platform, _)| platform.os != "unknown").collect();
    let names: Vec<String> = platforms.iter().map(|(platform, _)| platform.to_string()).collect();
    let of = |wanted: &Platform| platforms.iter().find(|(platform, _)| *platform == wanted);
    let (platform, digest) = match wanted {
        Some(wanted) => {
            return of(&wanted).map(|(_, digest)| *digest).ok_or_else(|| absent(&names, &wanted.to_string()).into());
        }
        None => match of(&Platform::linux(HOST)).or(platforms.first()) {
            Some(found) => *found,
            None => return Ok(index.manifests.first().map_or(*image, |first| first.digest)),
        },
    };
    if names.len() > 1 {
        world.events.note(&format!("of {}, this is {platform}: --platform takes another", names.join(", ")));
    }
    Ok(digest)
}

/// What a manifest's image is for.
fn platform(manifest: &[u8], store: &Store) -> Option<Platform> {
    let manifest = Manifest::parse(manifest).ok()?;
    let config = ImageConfig::parse(&store.bytes(&manifest.config.digest).ok()?).ok()?;
    Some(Platform { os: config.os, architecture: config.architecture, variant: config.variant })
}

/// The bytes of the bill of materials that hangs on an image, of several the one that says the most; else the one that stands
/// beside it in its index; else what its own databases list.
///
/// # Errors
/// Input where the image is not for `platform`; world where its layers are nowhere.
pub fn read(root: &Digest, platform: Option<Architecture>, world: &World<'_>) -> Result<Vec<u8>, Report> {
    let image = &one_platform(root, platform, world)?;
    let referrers = world.store.referrers(image)?;
    let bills = referrers.iter().filter(|one| one.artifact_type.as_ref().is_some_and(|kind| kind.is(SPDX_TYPE)));
    let mut most: Option<(u64, Digest)> = None;
    for bill in bills {
        let content = layer(world.store, &bill.digest)?;
        // Sizes that are equal, too, have an order.
        most = most.max(Some((content.size, content.digest)));
    }
    let Some((_, content)) = most else {
        return match beside(root, image, world.store)? {
            Some(bytes) => Ok(bytes),
            None => listed(image, world),
        };
    };
    Ok(world.store.bytes(&content)?)
}

/// The SPDX document in an attestation about the image, in the index that it came with.
fn beside(root: &Digest, image: &Digest, store: &Store) -> Result<Option<Vec<u8>>, Report> {
    let Ok(index) = Index::parse(&store.bytes(root)?) else { return Ok(None) };
    let about = image.to_string();
    let is_about = |one: &&Descriptor| {
        let said = |key: &str| one.annotations.get(key).map(String::as_str);
        said(REFERENCE_TYPE) == Some(ATTESTATION_MANIFEST) && said(REFERENCE_DIGEST) == Some(&about)
    };
    for one in index.manifests.iter().filter(is_about) {
        let Ok(manifest) = Manifest::parse(&store.bytes(&one.digest)?) else { continue };
        let is_spdx = |layer: &&Descriptor| layer.annotations.get(PREDICATE).is_some_and(|it| it == SPDX_PREDICATE);
        let Some(layer) = manifest.layers.iter().find(is_spdx) else { continue };
        let statement = serde_json::from_slice::<serde_json::Value>(&store.bytes(&layer.digest)?);
        let Some(predicate) = statement.ok().and_then(|mut statement| Some(statement.get_mut("predicate")?.take()))
        else {
            continue;
        };
        let mut bytes = serde_json::to_vec_pretty(&predicate).unwrap_or_default();
        bytes.push(b'\n');
        return Ok(Some(bytes));
    }
    Ok(None)
}

/// A bill of materials of what an image's own databases list.
fn listed(image: &Digest, world: &World<'_>) -> Result<Vec<u8>, Report> {
    let store = world.store;
    let local = store.local_config(image)?;
    let (config, layers) = match local {
        Some(config) => {
            let layers = store.local_layers(&config)?;
            (config, layers)
        }
        None => of_manifest(image, store)?,
    };
    let options = RegistryOptions::default();
    let packages = scan::packages(&layers, &options, world)?;
    if packages.is_empty() {
        return Err(Failure::input(format!("image {image} has no bill of materials"))
            .hint("none hangs on it, and neither dpkg nor Python list a package in it")
            .into());
    }
    let input = BomInput {
        name: "image".to_owned(),
        digest: *image,
        created: config.created,
        tool_version: world.tool.trim_start_matches("corten ").to_owned(),
        packages,
        files: None,
    };
    Ok(spdx(&input).map_err(|error| Failure::bug(error.to_string()))?)
}

fn of_manifest(image: &Digest, store: &Store) -> Result<(ImageConfig, Vec<TreeLayer>), Report> {
    let none =
        |_| Failure::input(format!("image {image} has no bill of materials")).hint("it is no image: an artifact");
    let manifest = Manifest::parse(&store.bytes(image)?).map_err(none)?;
    let none =
        |_| Failure::input(format!("image {image} has no bill of materials")).hint("it is no image: an artifact");
    let config = ImageConfig::parse(&store.bytes(&manifest.config.digest)?).map_err(none)?;
    let layers = config.rootfs.diff_ids.iter().zip(manifest.layers);
    let layers = layers.map(|(diff_id, blob)| TreeLayer { diff_id: *diff_id, blob: Some(blob) }).collect();
    Ok((config, layers))
}

/// The one layer of an artifact.
fn layer(store: &Store, artifact: &Digest) -> Result<Descriptor, Report> {
    let manifest = Manifest::parse(&store.bytes(artifact)?)
        .map_err(|error| Failure::world(format!("reading artifact {artifact}: {error}")))?;
    let layer = manifest.layers.into_iter().next();
    layer.ok_or_else(|| Failure::world(format!("artifact {artifact} has no content")).into())
}

fn input(planned: &Planned, built: &Built, with_files: bool, world: &World<'_>) -> Result<BomInput, Report> {
    let urls: HashMap<Digest, &str> =
        planned.packages.wheels.iter().map(|wheel| (wheel.digest, wheel.url.as_str())).collect();
    let sources: HashMap<Digest, String> =
        planned.packages.sources.iter().map(|source| (source.wheel, source.sentence())).collect();
    let builds: HashMap<&str, &Needed> =
        planned.packages.builds.iter().map(|build| (build.sdist.name.as_str(), build)).collect();
    let packages = built.layers.iter().flat_map(|layer| {
        let package = |one: &Installed| {
            let package = package(one, layer, &urls);
            match builds.get(one.name.as_str()).filter(|_| one.purl.starts_with("pkg:pypi/")) {
                Some(build) => BomPackage {
                    source: Some(build.sentence()),
                    download_url: Some(build.sdist.url.clone()),
                    kind: BomKind::Wheel,
                    ..package
                },
                None => BomPackage { source: one.digest.and_then(|digest| sources.get(&digest).cloned()), ..package },
            }
        };
        layer.installed.iter().map(package).collect::<Vec<_>>()
    });
    let weights = built.layers.iter().find(|layer| layer.what == "weights");
    let weights = weights.into_iter().flat_map(|layer| planned.fetched.iter().map(|file| fetched(file, layer)));
    Ok(BomInput {
        name: planned.project.settings.name.value.clone(),
        digest: built.image.manifest.digest,
        created: built.image.config.created.clone(),
        tool_version: world.tool.trim_start_matches("corten ").to_owned(),
        packages: packages.chain(weights).collect(),
        files: if with_files { Some(files(built, &planned.registry, world)?) } else { None },
    })
}

fn package(installed: &Installed, layer: &BuiltLayer, urls: &HashMap<Digest, &str>) -> BomPackage {
    let url = installed.digest.and_then(|digest| urls.get(&digest));
    BomPackage {
        purl: installed.purl.clone(),
        name: installed.name.clone(),
        version: installed.version.clone(),
        license: installed.licence.clone(),
        supplier: None,
        digest: installed.digest,
        download_url: url.map(|url| (*url).to_owned()),
        source: None,
        layer: layer.layer.diff_id,
        kind: kind(&installed.purl, url.is_some() || installed.digest.is_none()),
    }
}

/// Weights of an address. A name and a hash are all that is known of them.
fn fetched(file: &FetchedFile, layer: &BuiltLayer) -> BomPackage {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let parts = PurlParts { kind: "generic", name, ..PurlParts::default() };
    let purl = Purl::from_parts(&parts).map(|purl| {
        let checksum = file.digest.to_string();
        purl.with("checksum", &checksum).with("download_url", &remote::shown(&file.url)).to_string()
    });
    BomPackage {
        purl: purl.unwrap_or_default(),
        name: name.to_owned(),
        version: file.digest.to_string(),
        license: None,
        supplier: None,
        digest: Some(file.digest),
        download_url: Some(remote::shown(&file.url)),
        layer: layer.layer.diff_id,
        kind: BomKind::Weights,
        source: None,
    }
}

/// A Python package that nobody downloaded is the project's own.
fn kind(purl: &str, downloaded: bool) -> BomKind {
    match purl.starts_with("pkg:pypi/") {
        true if downloaded => BomKind::Wheel,
        true => BomKind::Application,
        false if purl.starts_with("pkg:generic/") => BomKind::Application,
        false => BomKind::Deb,
    }
}

/// Every file of every layer, hashed while the layers are read once.
fn files(built: &Built, options: &RegistryOptions, world: &World<'_>) -> Result<Vec<BomFile>, Report> {
    let all: Vec<Descriptor> = built.layers.iter().map(|layer| layer.layer.blob.clone()).collect();
    blobs::bring(&all, "listing every file", options, world)?;
    let layers = crate::packages::side_by_side(&built.layers, world.jobs, |layer| files_of(layer, world))?;
    Ok(layers.into_iter().flatten().collect())
}

fn files_of(built: &BuiltLayer, world: &World<'_>) -> Result<Vec<BomFile>, Report> {
    let reading = |error: std::io::Error| Failure::world(format!("reading layer {}: {error}", built.layer.diff_id));
    let index = world.store.layer_index(&built.layer.diff_id)?.unwrap_or_default();
    let blob = world.store.read(&built.layer.blob.digest)?;
    let mut tar = corten_layer::gzip::reader(&built.layer.blob.media_type, blob).map_err(reading)?;
    let mut at = 0;
    let mut files = Vec::new();
    for entry in index.entries.into_iter().filter(|entry| entry.kind == Kind::File) {
        let gap = entry.offset.saturating_sub(at);
        std::io::copy(&mut tar.by_ref().take(gap), &mut std::io::sink()).map_err(reading)?;
        let sums = FileSums::of(tar.by_ref().take(entry.size)).map_err(reading)?;
        at = entry.offset + entry.size;
        files.push(BomFile { path: entry.path, layer: built.layer.diff_id, package: entry.package, sums });
    }
    Ok(files)
}
