//! `corten store`.

use corten_diagnostic::Report;
use corten_flow::World;
use serde::Serialize;

use super::{registry_options, result};
use crate::args::{self, Format, StoreCommand};
use crate::render::say;
use crate::render::text::{safe, size as bytes, table};

/// Looks after the store.
pub fn run(arguments: &args::Store, format: Format, world: &World<'_>) -> Result<u8, Report> {
    match &arguments.command {
        StoreCommand::Verify => verify(format, world),
        StoreCommand::Repair { registry } => repair(registry, format, world),
        StoreCommand::Size => size(format, world),
    }
}

#[derive(Serialize)]
struct Problems {
    problems: Vec<String>,
}

fn verify(format: Format, world: &World<'_>) -> Result<u8, Report> {
    let verified = world.store.verify(world.events)?;
    let shape = Problems {
        problems: verified.iter().map(|problem| format!("{}: {}", problem.path.display(), problem.why)).collect(),
    };
    result(format, &shape, || match shape.problems.as_slice() {
        [] => "every byte is what its name says".to_owned(),
        problems => problems.join("\n"),
    })?;
    if shape.problems.is_empty() {
        return Ok(0);
    }
    say("hint: `corten store repair` takes away what is damaged, and brings back what images need of it");
    Ok(1)
}

/// What `--format json` prints: all documented in docs/json.md.
#[derive(Serialize)]
struct Repaired {
    mended: Vec<Told>,
    left: Vec<Told>,
}

#[derive(Serialize)]
struct Told {
    what: String,
    why: String,
}

fn repair(registry: &args::RegistryArguments, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let repair = corten_flow::repair::repair(&registry_options(registry)?, world)?;
    let told = |all: Vec<(String, String)>| all.into_iter().map(|(what, why)| Told { what, why }).collect();
    let shape = Repaired { mended: told(repair.mended), left: told(repair.left) };
    result(format, &shape, || {
        let line = |told: &Told| format!("{}: {}", safe(&told.what), safe(&told.why));
        match (shape.mended.is_empty(), shape.left.is_empty()) {
            (true, true) => "nothing is damaged, and no image lacks anything".to_owned(),
            _ => shape.mended.iter().chain(&shape.left).map(line).collect::<Vec<_>>().join("\n"),
        }
    })?;
    if shape.left.is_empty() {
        return Ok(0);
    }
    say(&format!("error: {} things could not be mended", shape.left.len()));
    Ok(1)
}

/// What `--format json` prints: all documented in docs/json.md.
#[derive(Serialize)]
struct Sizes {
    folder: String,
    total: u64,
    free: u64,
    images: Vec<Image>,
    kinds: Vec<Kind>,
    warning: Option<String>,
}

#[derive(Serialize)]
struct Image {
    names: Vec<String>,
    digest: String,
    bytes: u64,
    own: u64,
}

#[derive(Serialize)]
struct Kind {
    kind: &'static str,
    files: usize,
    bytes: u64,
}

fn size(format: Format, world: &World<'_>) -> Result<u8, Report> {
    let found = world.store.sizes()?;
    let image = |image: corten_flow::ImageSize| Image {
        names: image.names.iter().map(ToString::to_string).collect(),
        digest: image.digest.to_string(),
        bytes: image.bytes,
        own: image.own,
    };
    let kind = |(class, (files, bytes)): (&corten_flow::Class, &(usize, u64))| Kind {
        kind: class.name(),
        files: *files,
        bytes: *bytes,
    };
    let sizes = Sizes {
        folder: world.store.root().display().to_string(),
        total: found.total,
        free: found.free,
        kinds: found.classes.iter().map(kind).collect(),
        images: found.images.into_iter().map(image).collect(),
        warning: found.ground.warning(),
    };
    if let Some(warning) = &sizes.warning {
        world.events.warning(warning);
    }
    result(format, &sizes, || text(&sizes))?;
    Ok(0)
}

fn text(sizes: &Sizes) -> String {
    let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
    let mut parts = Vec::new();
    if !sizes.images.is_empty() {
        let of_image = |image: &Image| {
            let others = image.names.len().saturating_sub(1);
            let more = if others == 0 { String::new() } else { format!(" and {others} more") };
            let name = image.names.first().unwrap_or(&image.digest);
            vec![bytes(image.bytes), bytes(image.own), format!("{name}{more}")]
        };
        let rows = std::iter::once(row(["SIZE", "ITS OWN", "IMAGE"])).chain(sizes.images.iter().map(of_image));
        parts.push(table(&rows.collect::<Vec<_>>(), &[0, 1]));
    }
    let of_kind = |kind: &Kind| vec![bytes(kind.bytes), kind.files.to_string(), kind.kind.to_owned()];
    let rows = std::iter::once(row(["SIZE", "FILES", "WHAT"])).chain(sizes.kinds.iter().map(of_kind));
    parts.push(table(&rows.collect::<Vec<_>>(), &[0, 1]));
    parts.push(format!("{} in {}; {} are free there", bytes(sizes.total), sizes.folder, bytes(sizes.free)));
    parts.join("\n\n")
}
