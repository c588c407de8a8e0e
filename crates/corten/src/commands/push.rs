//! `corten push`.

use corten_diagnostic::{Failure, Report};
use corten_flow::{World, look, registry};
use corten_oci::{Digest, Reference};
use serde::Serialize;

use super::{reference, registry_options, result};
use crate::args::{self, Format};
use crate::render::text::size;

/// What `--format json` prints: all documented in README.md.
#[derive(Serialize)]
struct Shape {
    digest: String,
    pushed: Vec<Pushed>,
}

#[derive(Serialize)]
struct Pushed {
    repository: String,
    references: Vec<String>,
    #[serde(flatten)]
    went: WentShape,
}

/// What went to a repository.
#[derive(Serialize)]
pub struct WentShape {
    sent: Count,
    mounted: Count,
    there: Count,
}

impl WentShape {
    /// For programs.
    pub fn of(pushed: &corten_flow::Pushed) -> Self {
        let count = |(blobs, bytes)| Count { blobs, bytes };
        Self { sent: count(pushed.sent), mounted: count(pushed.mounted), there: count(pushed.there) }
    }

    /// For people.
    pub fn text(&self) -> String {
        let of = |count: &Count| format!("{} ({} blobs)", size(count.bytes), count.blobs);
        format!("sent {}, mounted {}, there already {}", of(&self.sent), of(&self.mounted), of(&self.there))
    }
}

#[derive(Serialize)]
struct Count {
    blobs: usize,
    bytes: u64,
}

/// Pushes an image of the store.
pub fn run(arguments: &args::Push, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let to = targets(arguments)?;
    let options = registry_options(&arguments.registry)?;
    let image = look::manifest_in_store(&arguments.image, world)?;
    let pushed = registry::push(&image, &to, &options, world)?;
    let shape = Shape {
        digest: image.to_string(),
        pushed: pushed
            .into_iter()
            .map(|(repository, pushed)| Pushed {
                references: named(&to, &image, &repository).map(|name| name.to_string()).collect(),
                repository: repository.to_string(),
                went: WentShape::of(&pushed),
            })
            .collect(),
    };
    result(format, &shape, || text(&shape))?;
    Ok(0)
}

/// Where to; the image's own name, where nothing else is said.
fn targets(arguments: &args::Push) -> Result<Vec<Reference>, Failure> {
    let own = [arguments.image.clone()];
    let to = if arguments.to.is_empty() { &own[..] } else { &arguments.to[..] };
    to.iter().map(|text| target(text, &format!("corten push {}", arguments.image))).collect()
}

/// A name at a registry; `command` is what comes before it.
pub fn target(text: &str, command: &str) -> Result<Reference, Failure> {
    let name = reference(text)?;
    match &name {
        Reference { digest: Some(_), .. } => {
            Err(Failure::usage(format!("{name} has a digest: what is pushed has its own"))
                .hint("say HOST/REPOSITORY:TAG"))
        }
        _ if name.repository.host.is_none() => {
            Err(Failure::usage(format!("{name} names no registry"))
                .hint(format!("say where to: `{command} HOST/{name}`")))
        }
        _ => Ok(name),
    }
}

fn named<'a>(
    to: &'a [Reference],
    image: &'a Digest,
    repository: &'a corten_oci::Repository,
) -> impl Iterator<Item = Reference> + 'a {
    let here = to.iter().filter(move |name| name.repository == *repository);
    here.map(|name| Reference { digest: Some(*image), ..name.clone() })
}

fn text(shape: &Shape) -> String {
    let one = |pushed: &Pushed| {
        let names = pushed.references.join("\n");
        format!("{names}\n{}", pushed.went.text())
    };
    shape.pushed.iter().map(one).collect::<Vec<_>>().join("\n")
}
