//! `corten save` and `corten load`.

use std::io::IsTerminal;
use std::path::Path;

use corten_diagnostic::{Failure, Report};
use corten_flow::World;
use corten_flow::carry::{self, Place};
use serde::Serialize;

use super::{registry_options, result};
use crate::args::{self, Format};

/// One image, as `--format json` prints it: documented in docs/json.md.
#[derive(Serialize)]
struct Shape {
    digest: String,
    references: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifacts: Option<usize>,
}

/// Saves. Where the archive goes to standard output, nothing else does.
pub fn save(arguments: &args::Save, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let to = place(arguments.output.as_deref());
    let mut stdout = std::io::stdout();
    if to == Place::Standard && stdout.is_terminal() {
        return Err(Failure::usage("saving: an archive is nothing for a terminal")
            .hint("name a file: `corten save … -o FILE`, or a pipe")
            .into());
    }
    let options = registry_options(&arguments.registry)?;
    let saved = carry::save(&arguments.images, arguments.platform.as_deref(), &to, &mut stdout, &options, world)?;
    let shapes: Vec<Shape> = saved
        .iter()
        .map(|(digest, names)| Shape {
            digest: digest.to_string(),
            references: names.iter().map(ToString::to_string).collect(),
            artifacts: None,
        })
        .collect();
    match to {
        Place::Standard => shapes.iter().for_each(|shape| world.events.note(&format!("saved {}", told(shape)))),
        Place::File(_) => result(format, &shapes, || lines("saved", &shapes))?,
    }
    Ok(0)
}

/// Loads.
pub fn load(arguments: &args::Load, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let from = place(arguments.input.as_deref());
    let mut stdin = std::io::stdin();
    if from == Place::Standard && stdin.is_terminal() {
        return Err(Failure::usage("loading: there is no archive on standard input")
            .hint("name a file: `corten load -i FILE`, or a pipe")
            .into());
    }
    let loaded = carry::load(&from, &mut stdin, world)?;
    let shapes: Vec<Shape> = loaded
        .iter()
        .map(|image| Shape {
            digest: image.digest.to_string(),
            references: image.names.iter().map(ToString::to_string).collect(),
            artifacts: Some(image.artifacts),
        })
        .collect();
    for shape in shapes.iter().filter(|shape| shape.references.is_empty()) {
        world
            .events
            .note(&format!("{0} has no name in the archive: `corten tag {0} NAME:TAG` gives it one", shape.digest));
    }
    result(format, &shapes, || lines("loaded", &shapes))?;
    Ok(0)
}

fn place(path: Option<&Path>) -> Place {
    match path {
        Some(path) if path != Path::new("-") => Place::File(path.to_owned()),
        _ => Place::Standard,
    }
}

fn lines(verb: &str, shapes: &[Shape]) -> String {
    shapes.iter().map(|shape| format!("{verb}  {}", told(shape))).collect::<Vec<_>>().join("\n")
}

fn told(shape: &Shape) -> String {
    let artifacts = match shape.artifacts {
        Some(1) => " with 1 artifact".to_owned(),
        Some(count @ 2..) => format!(" with {count} artifacts"),
        _ => String::new(),
    };
    match shape.references.as_slice() {
        [] => format!("{}{artifacts}", shape.digest),
        names => format!("{}  {}{artifacts}", names.join(" "), shape.digest),
    }
}
