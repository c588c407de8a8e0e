//! `--output`, as `docker buildx build` takes it, and what it writes.
//!
//! | `type=` | what | `dest=` |
//! |---|---|---|
//! | `oci` | an OCI layout in a tar; with `tar=false` the layout itself | a file, or `-`; a folder |
//! | `docker` | what `docker load` reads | a file, or `-` |
//! | `tar` | the files of the image | a file, or `-` |
//! | `local` | the files of the image | a folder |
//! | `image`, `registry` | the image in the store; pushed with `push=true`, as `registry` always is | |
//! | `cacheonly` | nothing | |
//!
//! A path alone is `type=local,dest=PATH`, `-` alone `type=tar,dest=-`. Every field is understood or refused: nothing is read
//! over.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use corten_diagnostic::{Failure, Report};
use corten_oci::{Digest, ImageConfig, Manifest, Reference};
use corten_store::{AddedFile, ManifestOptions, Packing, TreeLayer, docker_archive, layout};

use crate::blobs;
use crate::carry::Place;
use crate::outputs::{replace, writable};
use crate::registry::RegistryOptions;
use crate::world::World;

/// One `--output`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// What is written.
    pub kind: ExportKind,
    /// `name=`: names that the image gets beside those of `--tag`.
    pub names: Vec<String>,
    /// How a local image becomes one with a manifest.
    pub manifest: ManifestOptions,
    /// Free texts that stand beside the manifest.
    pub texts: IndexTexts,
    /// `attestation-prefix=`: how names of statements begin beside plain files.
    pub prefix: String,
    /// `push-by-digest=true`: a registry gets it without a tag.
    pub by_digest: bool,
}

/// Free texts of an index, and of the descriptors that lead to it and from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexTexts {
    /// Of the index.
    pub index: BTreeMap<String, String>,
    /// Of the manifest's descriptor: in the index, or where there is none, in a layout's `index.json`.
    pub manifest_descriptor: BTreeMap<String, String>,
    /// Of the index's descriptor in a layout's `index.json`.
    pub index_descriptor: BTreeMap<String, String>,
}

impl IndexTexts {
    /// Adds those of `more`, which go before.
    pub fn add(&mut self, more: &Self) {
        self.index.extend(more.index.clone());
        self.manifest_descriptor.extend(more.manifest_descriptor.clone());
        self.index_descriptor.extend(more.index_descriptor.clone());
    }

    /// Of the descriptor that names the whole: that of an index, or of a manifest alone.
    pub fn of_root(&self, is_index: bool) -> &BTreeMap<String, String> {
        if is_index { &self.index_descriptor } else { &self.manifest_descriptor }
    }
}

/// What is written, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportKind {
    /// An OCI layout in a tar.
    Oci(Place),
    /// An OCI layout.
    OciFolder(PathBuf),
    /// What `docker load` reads.
    Docker(Place),
    /// The files in a tar.
    Tar(Place),
    /// The files.
    Local(PathBuf),
    /// The image in the store, and at a registry where that is true.
    Image {
        /// `push=true`.
        push: bool,
    },
    /// Nothing.
    Nothing,
}

/// An image that is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exported {
    /// With a manifest; its digest.
    Manifest(Digest),
    /// Built here, without one yet; its id.
    Local(Digest),
}

/// An image that is to be written, and what goes with it.
pub struct Written<'a> {
    /// The image.
    pub image: Exported,
    /// Is it an index?
    pub is_index: bool,
    /// Its names.
    pub names: &'a [Reference],
    /// No time in `tar` and `local` is later.
    pub epoch: Option<u64>,
    /// Files beside the image's, in `tar` and `local`.
    pub beside: Vec<AddedFile>,
}

impl FromStr for Export {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::usage(format!("--output '{text}': {why}"))
                .hint("type=oci, docker and tar take dest=FILE (- is standard output), type=local takes dest=FOLDER")
        };
        if text == "-" {
            return Self::parse(&["type=tar".into(), "dest=-".into()], &wrong);
        }
        let fields = fields(text).ok_or_else(|| wrong("a quote is not closed"))?;
        match fields.as_slice() {
            [path] if !path.contains('=') && !path.is_empty() => {
                Self::parse(&["type=local".into(), format!("dest={path}")], &wrong)
            }
            fields => Self::parse(fields, &wrong),
        }
    }
}

/// Fields between commas; one may stand in double quotes (RFC 4180, as buildx reads it).
fn fields(text: &str) -> Option<Vec<String>> {
    let (mut fields, mut rest) = (Vec::new(), text);
    loop {
        let field;
        if let Some(quoted) = rest.strip_prefix('"') {
            let (mut value, mut left) = (String::new(), quoted);
            loop {
                let (before, after) = left.split_once('"')?;
                value.push_str(before);
                match after.strip_prefix('"') {
                    Some(more) => {
                        value.push('"');
                        left = more;
                    }
                    None => {
                        left = after;
                        break;
                    }
                }
            }
            (field, rest) = (value, left);
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let (value, left) = rest.split_at(end);
            (field, rest) = (value.to_owned(), left);
        }
        fields.push(field);
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None if rest.is_empty() => return Some(fields),
            None => return None,
        }
    }
}

/// What the fields say, before it is known whether they fit together.
#[derive(Default)]
struct Raw {
    kind: Option<String>,
    dest: Option<String>,
    tar: Option<bool>,
    push: bool,
    names: Vec<String>,
    packing: Option<Packing>,
    repack: bool,
    oci: Option<bool>,
    annotations: BTreeMap<String, String>,
    texts: IndexTexts,
    prefix: Option<String>,
    by_digest: bool,
}

impl Export {
    fn parse(fields: &[String], wrong: &dyn Fn(&str) -> Failure) -> Result<Self, Failure> {
        let mut raw = Raw::default();
        for field in fields {
            let (key, value) = field.split_once('=').ok_or_else(|| wrong(&format!("'{field}' is no key=value")))?;
            raw.take(key.trim(), value).map_err(|why| wrong(&why))?;
        }
        let kind = raw.kind().map_err(|why| wrong(&why))?;
        // Docker's own store reads its own types alone.
        let docker = !raw.oci.unwrap_or(!matches!(kind, ExportKind::Docker(_)));
        let packing = raw.packing.unwrap_or(Packing::Gzip);
        let manifest = ManifestOptions { packing, repack: raw.repack, docker, annotations: raw.annotations };
        let (prefix, by_digest) = (raw.prefix.unwrap_or_default(), raw.by_digest);
        Ok(Self { kind, names: raw.names, manifest, texts: raw.texts, prefix, by_digest })
    }

    /// Does it go to standard output?
    pub fn is_standard(&self) -> bool {
        matches!(
            self.kind,
            ExportKind::Oci(Place::Standard) | ExportKind::Docker(Place::Standard) | ExportKind::Tar(Place::Standard)
        )
    }

    /// Does free text of a manifest, or of what names it, stand in it? Docker's archives have a list of their own instead.
    pub fn has_annotations(&self) -> bool {
        self.needs_manifest() && !matches!(self.kind, ExportKind::Docker(_))
    }

    /// Must the image have a manifest for it?
    pub fn needs_manifest(&self) -> bool {
        !matches!(self.kind, ExportKind::Tar(_) | ExportKind::Local(_) | ExportKind::Nothing)
    }
}

impl Raw {
    fn take(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "type" => self.kind = Some(value.to_owned()),
            "dest" => self.dest = Some(value.to_owned()),
            "tar" => self.tar = Some(truth(key, value)?),
            "push" => self.push = truth(key, value)?,
            "push-by-digest" => self.by_digest = truth(key, value)?,
            // The store finds every image by its digest.
            "name-canonical" => drop(truth(key, value)?),
            "name" => self.names.extend(value.split(',').map(str::to_owned)),
            "compression" => self.packing = Some(packing(value)?),
            "compression-level" => return Err("the level is fixed, so that the same files are the same bytes".into()),
            "force-compression" => self.repack = truth(key, value)?,
            "oci-mediatypes" => self.oci = Some(truth(key, value)?),
            // Times in layers are never later than SOURCE_DATE_EPOCH.
            "rewrite-timestamp" => drop(truth(key, value)?),
            "store" if truth(key, value)? => {}
            "platform-split" if !truth(key, value)? => {}
            "attestation-prefix" if value.contains('/') => {
                return Err("attestation-prefix is the beginning of a file's name, not a folder".into());
            }
            "attestation-prefix" => self.prefix = Some(value.to_owned()),
            _ => match self.annotated(key) {
                Some((to, name)) if !name.is_empty() => drop(to.insert(name.to_owned(), value.to_owned())),
                _ => return Err(format!("'{key}={value}' is not known")),
            },
        }
        Ok(())
    }

    /// Where a free text goes, and its name: `annotation.NAME`, `annotation-KIND.NAME`.
    fn annotated<'k>(&mut self, key: &'k str) -> Option<(&mut BTreeMap<String, String>, &'k str)> {
        let (kind, name) = key.split_once('.')?;
        let to = match kind {
            "annotation" | "annotation-manifest" => &mut self.annotations,
            "annotation-index" => &mut self.texts.index,
            "annotation-manifest-descriptor" => &mut self.texts.manifest_descriptor,
            "annotation-index-descriptor" => &mut self.texts.index_descriptor,
            _ => return None,
        };
        Some((to, name))
    }

    /// A field of free text, where one is given.
    fn annotation(&self) -> Option<&'static str> {
        let IndexTexts { index, manifest_descriptor, index_descriptor } = &self.texts;
        let all = [
            ("annotation", &self.annotations),
            ("annotation-index", index),
            ("annotation-manifest-descriptor", manifest_descriptor),
            ("annotation-index-descriptor", index_descriptor),
        ];
        all.into_iter().find(|(_, texts)| !texts.is_empty()).map(|(field, _)| field)
    }

    fn kind(&self) -> Result<ExportKind, String> {
        let kind = self.kind.as_deref().ok_or("it has no type")?;
        if self.tar.is_some() && !matches!(kind, "oci" | "docker") {
            return Err(format!("tar= means nothing for type={kind}"));
        }
        if self.prefix.is_some() && !matches!(kind, "local" | "tar") {
            return Err(format!("attestation-prefix= means nothing for type={kind}"));
        }
        if let Some(field) = self.annotation().filter(|_| matches!(kind, "local" | "tar" | "docker" | "cacheonly")) {
            return Err(format!("{field}.…= means nothing for type={kind}, which has no manifest"));
        }
        if self.by_digest && !matches!(kind, "image" | "registry") {
            return Err(format!("push-by-digest= means nothing for type={kind}"));
        }
        if self.push && !matches!(kind, "image" | "registry") {
            return Err(format!("type={kind} cannot be pushed: use type=image or type=registry"));
        }
        let place = || match self.dest.as_deref() {
            None | Some("-") => Ok(Place::Standard),
            Some("") => Err("dest is empty".to_owned()),
            Some(path) => Ok(Place::File(path.into())),
        };
        let folder = || match self.dest.as_deref() {
            None | Some("") => Err("it names no folder".to_owned()),
            Some("-") => Err("a folder cannot be written to standard output".to_owned()),
            Some(path) => Ok(PathBuf::from(path)),
        };
        match kind {
            "oci" if self.tar == Some(false) => folder().map(ExportKind::OciFolder),
            "oci" => place().map(ExportKind::Oci),
            "docker" if self.tar == Some(false) => Err("docker loads a tar alone: use type=oci,tar=false".into()),
            "docker" => place().map(ExportKind::Docker),
            "tar" => place().map(ExportKind::Tar),
            "local" => folder().map(ExportKind::Local),
            "image" | "registry" | "cacheonly" if self.dest.is_some() => Err(format!("type={kind} has no dest")),
            "image" => Ok(ExportKind::Image { push: self.push }),
            "registry" => Ok(ExportKind::Image { push: true }),
            "cacheonly" => Ok(ExportKind::Nothing),
            other => Err(format!("type '{other}' is not known")),
        }
    }
}

fn truth(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "true" | "1" | "t" | "TRUE" | "True" => Ok(true),
        "false" | "0" | "f" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("{key} is true or false, not '{value}'")),
    }
}

fn packing(value: &str) -> Result<Packing, String> {
    match value {
        "gzip" => Ok(Packing::Gzip),
        "zstd" => Ok(Packing::Zstd),
        "uncompressed" => Ok(Packing::Tar),
        other => Err(format!("compression '{other}' is not known: gzip, zstd or uncompressed")),
    }
}

/// Refuses what cannot be written, before anything is built for it.
///
/// # Errors
/// A folder where a file is to be, a file where a folder is to be, two outputs to standard output.
pub fn refuse_impossible(exports: &[Export]) -> Result<(), Failure> {
    if exports.iter().filter(|export| export.is_standard()).count() > 1 {
        return Err(
            Failure::usage("--output: only one output can go to standard output").hint("name a file: dest=FILE")
        );
    }
    exports.iter().try_for_each(|export| match &export.kind {
        ExportKind::Oci(Place::File(path))
        | ExportKind::Docker(Place::File(path))
        | ExportKind::Tar(Place::File(path)) => writable("--output", path),
        ExportKind::OciFolder(path) | ExportKind::Local(path) => folder_writable(path),
        _ => Ok(()),
    })
}

fn folder_writable(path: &Path) -> Result<(), Failure> {
    match path.exists() && !path.is_dir() {
        true => {
            Err(Failure::usage(format!("--output: {} is no folder", path.display())).hint("name a folder: dest=FOLDER"))
        }
        false => Ok(()),
    }
}

/// Writes one output. A file that is there already is replaced once the new one is complete. For [`ExportKind::Image`], the
/// manifest is made and nothing more.
///
/// The digest of the manifest, where one was needed.
///
/// # Errors
/// Layers that are nowhere, an index of several platforms for `tar` and `local`, a disk that says no.
pub fn write(
    export: &Export,
    written: &Written<'_>,
    standard: &mut dyn Write,
    options: &RegistryOptions,
    world: &World<'_>,
) -> Result<Option<Digest>, Report> {
    if export.needs_manifest() {
        let digest = match written.image {
            Exported::Manifest(digest) => digest,
            Exported::Local(id) => manifest(export, &id, options, world)?,
        };
        let named = (written.names, export.texts.of_root(written.is_index));
        write_image(&export.kind, &digest, named, standard, options, world)?;
        return Ok(Some(digest));
    }
    let layers = layers(written.image, world)?;
    let blobs: Vec<_> = layers.iter().filter_map(|layer| layer.blob.clone()).collect();
    let store = world.store;
    match &export.kind {
        ExportKind::Tar(place) => {
            blobs::bring(&blobs, "writing the image's files", options, world)?;
            to(place, standard, |to| Ok(store.export_tar(&layers, store, written.epoch, &written.beside, to)?))?;
        }
        ExportKind::Local(folder) => {
            blobs::bring(&blobs, "writing the image's files", options, world)?;
            store.export_folder(&layers, store, written.epoch, &written.beside, folder)?;
        }
        _ => {}
    }
    Ok(None)
}

/// The manifest that an export makes for an image that was built here.
///
/// # Errors
/// Layers that are nowhere; a disk that says no.
pub fn manifest(export: &Export, id: &Digest, options: &RegistryOptions, world: &World<'_>) -> Result<Digest, Report> {
    bring_base(id, export.manifest.repack, options, world)?;
    Ok(world.store.manifest_of(id, &export.manifest)?.manifest.digest)
}

/// Blobs of a base that are packed anew must be here.
fn bring_base(id: &Digest, repack: bool, options: &RegistryOptions, world: &World<'_>) -> Result<(), Report> {
    if !repack {
        return Ok(());
    }
    let layers = layers(Exported::Local(*id), world)?;
    let blobs: Vec<_> = layers.into_iter().filter_map(|layer| layer.blob).collect();
    blobs::bring(&blobs, "compressing the base anew", options, world)
}

fn write_image(
    kind: &ExportKind,
    image: &Digest,
    named: (&[Reference], &BTreeMap<String, String>),
    standard: &mut dyn Write,
    options: &RegistryOptions,
    world: &World<'_>,
) -> Result<(), Report> {
    let store = world.store;
    if !matches!(kind, ExportKind::Image { .. }) {
        blobs::bring_image(image, "writing the image", options, world)?;
    }
    match kind {
        ExportKind::Oci(place) => to(place, standard, |to| Ok(layout::export_tar_annotated(store, image, named, to)?)),
        ExportKind::OciFolder(folder) => Ok(layout::export_annotated(store, image, named, folder)?),
        ExportKind::Docker(place) => to(place, standard, |to| Ok(docker_archive::export(store, image, named.0, to)?)),
        ExportKind::Tar(_) | ExportKind::Local(_) | ExportKind::Image { .. } | ExportKind::Nothing => Ok(()),
    }
}

fn to(
    place: &Place,
    standard: &mut dyn Write,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Report>,
) -> Result<(), Report> {
    match place {
        Place::File(path) => replace(path, write),
        Place::Standard => {
            let mut to = BufWriter::with_capacity(1 << 18, standard);
            write(&mut to)?;
            Ok(to.flush().map_err(|error| Failure::world(format!("writing to standard output: {error}")))?)
        }
    }
}

/// The layers of an image, with their blobs.
pub(crate) fn layers(image: Exported, world: &World<'_>) -> Result<Vec<TreeLayer>, Report> {
    let store = world.store;
    let config = |digest: &Digest| -> Result<ImageConfig, Report> {
        let config = ImageConfig::parse(&store.bytes(digest)?);
        Ok(config.map_err(|error| Failure::world(format!("reading the config {digest}: {error}")))?)
    };
    let digest = match image {
        Exported::Local(id) => return Ok(store.local_layers(&config(&id)?)?),
        Exported::Manifest(digest) => digest,
    };
    let several = |_| {
        Failure::usage(format!("--output: {digest} is of several platforms, whose files cannot be written together"))
            .hint("build for one platform, or write type=oci")
    };
    let manifest = Manifest::parse(&store.bytes(&digest)?).map_err(several)?;
    let config = config(&manifest.config.digest)?;
    let layers = config.rootfs.diff_ids.iter().zip(manifest.layers);
    Ok(layers.map(|(diff_id, blob)| TreeLayer { diff_id: *diff_id, blob: Some(blob) }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Export {
        text.parse().unwrap()
    }

    fn error(text: &str) -> String {
        text.parse::<Export>().unwrap_err().to_string()
    }

    #[test]
    fn outputs_are_written_as_buildx_has_them() {
        let file = |path: &str| Place::File(path.into());
        assert_eq!(parse("out").kind, ExportKind::Local("out".into()));
        assert_eq!(parse("-").kind, ExportKind::Tar(Place::Standard));
        assert_eq!(parse("type=tar").kind, ExportKind::Tar(Place::Standard));
        assert_eq!(parse("type=oci,dest=a.tar").kind, ExportKind::Oci(file("a.tar")));
        assert_eq!(parse("dest=-,type=docker").kind, ExportKind::Docker(Place::Standard));
        assert_eq!(parse("type=oci,dest=d,tar=false").kind, ExportKind::OciFolder("d".into()));
        assert_eq!(parse("type=local,\"dest=a,b\"").kind, ExportKind::Local("a,b".into()));
        assert_eq!(parse("type=registry").kind, ExportKind::Image { push: true });
        assert_eq!(parse("type=image,\"name=a:1,b:2\"").names, ["a:1", "b:2"]);
        let docker = parse("type=docker,dest=a").manifest;
        assert!(docker.docker && docker.packing == Packing::Gzip);
        let text = "type=oci,dest=a,compression=zstd,force-compression=true,annotation.x=y=z";
        let options = parse(text).manifest;
        assert!(!options.docker && options.repack && options.packing == Packing::Zstd);
        assert_eq!(options.annotations.get("x").map(String::as_str), Some("y=z"));
        let text =
            "type=oci,dest=a,annotation-index.a=1,annotation-manifest-descriptor.b.c=2,annotation-index-descriptor.d=3";
        let pair = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let IndexTexts { index, manifest_descriptor, index_descriptor } = parse(text).texts;
        assert_eq!([index, manifest_descriptor, index_descriptor], [pair("a", "1"), pair("b.c", "2"), pair("d", "3")]);
        assert_eq!(parse("type=tar,attestation-prefix=of-").prefix, "of-");
        assert!(parse("type=image,oci-mediatypes=false").manifest.docker);
        let text = "type=image,push-by-digest=true,name-canonical=true,push=true,name=a";
        assert!(parse(text).by_digest && parse(text).kind == ExportKind::Image { push: true });
        assert!(!parse("type=registry,push-by-digest=false,push=true").by_digest);
    }

    #[test]
    fn nothing_is_read_over() {
        let errors = [
            ("", "'' is no key=value"),
            ("type=zip,dest=x", "type 'zip' is not known"),
            ("dest=x,push=false", "it has no type"),
            ("type=local", "it names no folder"),
            ("type=local,dest=-", "a folder cannot be written to standard output"),
            ("type=oci,dest=x,colour=red", "'colour=red' is not known"),
            ("type=oci,dest=x,compression=brotli", "compression 'brotli' is not known: gzip, zstd or uncompressed"),
            ("type=oci,dest=x,tar=perhaps", "tar is true or false, not 'perhaps'"),
            ("type=tar,tar=false", "tar= means nothing for type=tar"),
            ("type=docker,tar=false,dest=x", "docker loads a tar alone: use type=oci,tar=false"),
            ("type=oci,push=true", "type=oci cannot be pushed: use type=image or type=registry"),
            ("type=image,dest=x", "type=image has no dest"),
            ("type=oci,push-by-digest=true", "push-by-digest= means nothing for type=oci"),
            ("type=registry,push-by-digest=yes", "push-by-digest is true or false, not 'yes'"),
            ("type=oci,\"dest=x", "a quote is not closed"),
            ("type=oci,dest=x,annotation.=1", "'annotation.=1' is not known"),
            ("type=oci,dest=x,annotation-layer.a=1", "'annotation-layer.a=1' is not known"),
            (
                "type=local,dest=x,attestation-prefix=../x",
                "attestation-prefix is the beginning of a file's name, not a folder",
            ),
            ("type=oci,dest=x,attestation-prefix=x", "attestation-prefix= means nothing for type=oci"),
            ("type=local,dest=x,annotation.a=1", "annotation.…= means nothing for type=local, which has no manifest"),
            ("type=tar,annotation-index.a=1", "annotation-index.…= means nothing for type=tar, which has no manifest"),
            (
                "type=docker,dest=x,annotation-manifest-descriptor.a=b",
                "annotation-manifest-descriptor.…= means nothing for type=docker, which has no manifest",
            ),
            (
                "type=cacheonly,annotation-index-descriptor.a=b",
                "annotation-index-descriptor.…= means nothing for type=cacheonly, which has no manifest",
            ),
        ];
        for (text, why) in errors {
            assert_eq!(error(text), format!("--output '{text}': {why}"));
        }
        let two = [parse("-"), parse("type=oci")];
        assert!(refuse_impossible(&two).unwrap_err().to_string().contains("only one output"));
        assert!(refuse_impossible(&[parse("type=local,dest=/proc/version")]).is_err());
    }
}
