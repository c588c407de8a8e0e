//! Images that travel as one file: `corten save` and `corten load`, for machines that no network joins.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use corten_diagnostic::{Failure, Report};
use corten_layer::{bounds, gzip};
use corten_oci::{Digest, MediaType, Reference};
use corten_store::StoreError;
use corten_store::foreign::{self, ForeignError};

pub use corten_store::foreign::Loaded;

use crate::registry::RegistryOptions;
use crate::world::World;
use crate::{blobs, look, outputs};

/// Bytes of an archive once it is uncompressed: more is a bomb.
const LARGEST: u64 = 256 << 30;

/// Where the bytes of an archive are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file.
    File(PathBuf),
    /// Standard output or input.
    Standard,
}

/// Writes images of the store with what hangs on them. `standard` is where [`Place::Standard`] goes.
///
/// Of an index, `platform` (`linux/arm64`) picks one image; else all of them travel.
pub fn save(
    names: &[String],
    platform: Option<&str>,
    to: &Place,
    standard: &mut dyn Write,
    options: &RegistryOptions,
    world: &World<'_>,
) -> Result<Vec<(Digest, Vec<Reference>)>, Report> {
    if let Place::File(path) = to {
        outputs::writable("--output", path)?;
    }
    let mut images: Vec<(Digest, Vec<Reference>)> = Vec::new();
    for text in names {
        let root = look::digest_in_store(text, world)?;
        let whole = world.store.with_manifest(&root)?;
        let digest = match platform {
            None => whole,
            Some(_) => look::image(&look::stored(text, &whole, world)?, platform)?.digest,
        };
        let names = names_of(text, &root, world)?;
        match images.iter_mut().find(|(known, _)| *known == digest) {
            Some((_, known)) => known.extend(names),
            None => images.push((digest, names)),
        }
    }
    for (_, names) in &mut images {
        names.sort();
        names.dedup();
    }
    images.sort();
    for (digest, _) in &images {
        blobs::bring_image(digest, "saving the image", options, world)?;
    }
    match to {
        Place::File(path) => {
            outputs::replace(path, |to| Ok(corten_store::save(world.store, &images, to)?))?;
        }
        Place::Standard => {
            let mut to = BufWriter::with_capacity(1 << 18, standard);
            corten_store::save(world.store, &images, &mut to)?;
            to.flush().map_err(|error| Failure::world(format!("writing to standard output: {error}")))?;
        }
    }
    Ok(images)
}

/// The names that an image was asked for by: a repository alone means those of its names that have this image.
fn names_of(text: &str, digest: &Digest, world: &World<'_>) -> Result<Vec<Reference>, Report> {
    let Ok(asked) = text.parse::<Reference>() else { return Ok(Vec::new()) };
    if asked.digest.is_some() || text.parse::<Digest>().is_ok() {
        return Ok(Vec::new());
    }
    if asked.tag.is_some() {
        return Ok(vec![asked]);
    }
    let images = world.store.images()?.into_iter();
    let same = images.filter(|(name, found)| name.repository == asked.repository && found == digest);
    Ok(same.map(|(name, _)| name).collect())
}

/// Takes all images of an archive into the store, under the names that it gives them.
pub fn load(from: &Place, standard: &mut dyn Read, world: &World<'_>) -> Result<Vec<Loaded>, Report> {
    let folder = world.store.scratch_folder()?;
    let kept = folder.path().join("archive");
    let (path, shown) = match from {
        Place::Standard => (keep(standard, &kept, "standard input")?, "standard input".to_owned()),
        Place::File(path) => {
            let shown = path.display().to_string();
            let mut file = open(path)?;
            let mut head = Vec::new();
            let read = Read::by_ref(&mut file).take(6).read_to_end(&mut head);
            read.map_err(|error| unread(&shown, &error))?;
            let is_file = file.metadata().is_ok_and(|found| found.is_file());
            match is_file && foreign::compression(&head).is_none() {
                true => (path.clone(), shown),
                false => (keep(&mut head.as_slice().chain(file), &kept, &shown)?, shown),
            }
        }
    };
    foreign::load(world.store, &path).map_err(|error| wrong(error, &shown))
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::usage(format!("--input: there is no {}", path.display()))
            .hint("`corten save`, `docker save` and `podman save` write such a file"),
        _ => unread(&path.display().to_string(), &error),
    })
}

fn unread(shown: &str, error: &io::Error) -> Failure {
    Failure::world(format!("reading {shown}: {error}"))
}

/// What cannot be read twice, or is compressed, is kept as a plain tar meanwhile.
fn keep(from: &mut dyn Read, to: &Path, shown: &str) -> Result<PathBuf, Report> {
    let mut from = BufReader::with_capacity(1 << 18, from);
    let mut head = Vec::new();
    from.by_ref().take(6).read_to_end(&mut head).map_err(|error| unread(shown, &error))?;
    let media_type = match foreign::compression(&head) {
        None => MediaType::LAYER,
        Some("gzip") => MediaType::LAYER_GZIP,
        Some("zstd") => MediaType::LAYER_ZSTD,
        Some(other) => {
            return Err(Failure::input(format!("loading {shown}: the tar is compressed with {other}"))
                .hint("uncompress it first")
                .into());
        }
    };
    let whole = head.as_slice().chain(from);
    let media_type = media_type.into();
    let plain = bounds::stream(whole, (LARGEST, "archive"), |packed| gzip::reader(&media_type, packed));
    let mut plain = plain.map_err(|error| unread(shown, &error))?;
    let mut file = File::create(to).map_err(|error| StoreError::disk("writing", to, 0, error))?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        let got = plain.read(&mut buffer).map_err(|error| broken(shown, &error))?;
        if got == 0 {
            return Ok(to.to_owned());
        }
        let piece = buffer.get(..got).unwrap_or_default();
        file.write_all(piece).map_err(|error| StoreError::disk("writing", to, got as u64, error))?;
    }
}

fn broken(shown: &str, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => {
            Failure::input(format!("loading {shown}: it cannot be uncompressed: {error}"))
                .hint("the file is damaged or cut off: copy it again")
        }
        io::ErrorKind::FileTooLarge => Failure::input(format!("loading {shown}: {error}")),
        _ => unread(shown, error),
    }
}

/// What is wrong with an archive is told as of one, not as of a base.
fn wrong(error: ForeignError, shown: &str) -> Report {
    match error {
        ForeignError::Refused { why, .. } => Failure::input(format!("loading {shown}: {why}"))
            .hint("`corten save`, `docker save`, `podman save` and skopeo's oci-archive write what can be loaded")
            .into(),
        ForeignError::Store(error @ (StoreError::Damaged { .. } | StoreError::Unsuitable(_))) => {
            Failure::input(format!("loading {shown}: {error}"))
                .hint("the file is damaged or cut off: copy it again")
                .into()
        }
        other => other.into(),
    }
}
