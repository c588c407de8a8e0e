//! `corten images`.

use corten_diagnostic::{Failure, Report};
use corten_flow::{World, look};
use corten_oci::Reference;
use serde::Serialize;

use super::{reference, result};
use crate::args::{Format, Images, ImagesCommand};
use crate::render::text::{safe, size, table};

#[derive(Serialize)]
struct Shape {
    reference: String,
    digest: String,
    /// As `linux/amd64`.
    platforms: Vec<String>,
    /// Bytes of all layers, each once; none where they are not all there.
    size: Option<u64>,
}

/// Lists the names of the store, or takes some away.
pub fn run(arguments: &Images, format: Format, world: &World<'_>) -> Result<u8, Report> {
    match &arguments.command {
        Some(ImagesCommand::Rm { names }) => untag(names, format, world),
        None => list(format, world),
    }
}

fn list(format: Format, world: &World<'_>) -> Result<u8, Report> {
    let mut images = Vec::new();
    for (reference, digest) in world.store.images()? {
        let (platforms, size) = look::summary(&digest, world)?;
        images.push(Shape { reference: reference.to_string(), digest: digest.to_string(), platforms, size });
    }
    result(format, &images, || {
        let head = ["REFERENCE", "DIGEST", "SIZE", "PLATFORMS"].map(str::to_owned).to_vec();
        let row = |image: &Shape| {
            let bytes = image.size.map_or("-".to_owned(), size);
            vec![image.reference.clone(), image.digest.clone(), bytes, safe(&image.platforms.join(", "))]
        };
        table(&std::iter::once(head).chain(images.iter().map(row)).collect::<Vec<_>>(), &[2])
    })?;
    Ok(0)
}

/// One that is taken away.
#[derive(Serialize)]
struct Removed {
    reference: String,
    /// None where the name was torn.
    digest: Option<String>,
    /// Names that the image still has.
    others: Vec<String>,
}

/// All names are understood before one is taken away.
fn untag(names: &[String], format: Format, world: &World<'_>) -> Result<u8, Report> {
    let mut references = Vec::new();
    for name in names {
        let reference = reference(name)?;
        if reference.digest.is_some() {
            let failure = Failure::usage(format!("'{name}' is a digest: names are taken away, not images"));
            return Err(failure.hint("`corten images` lists the names; `corten prune` removes what has none").into());
        }
        references.push(reference);
    }
    let absent = |reference: &Reference| {
        let failure = Failure::input(format!("the store has no image {reference}"));
        failure.hint("`corten images` lists what it has")
    };
    for reference in &references {
        if matches!(world.store.image(reference), Ok(None)) {
            return Err(absent(reference).into());
        }
    }
    let mut removed = Vec::new();
    for reference in references {
        let Some(untagged) = world.store.untag(&reference)? else { return Err(absent(&reference).into()) };
        removed.push(Removed {
            reference: untagged.name.to_string(),
            digest: untagged.digest.map(|digest| digest.to_string()),
            others: untagged.others.iter().map(ToString::to_string).collect(),
        });
    }
    result(format, &removed, || removed.iter().map(told).collect::<Vec<_>>().join("\n"))?;
    Ok(0)
}

fn told(removed: &Removed) -> String {
    match removed.others.as_slice() {
        [] => format!("untagged {}; `corten prune` frees what nothing else needs of it", removed.reference),
        others => format!("untagged {}; its image is also {}", removed.reference, others.join(", ")),
    }
}
