//! `corten tag`.

use corten_diagnostic::Report;
use corten_flow::World;
use corten_flow::look::{self, Ask, Tagged};
use serde_json::json;

use super::{registry_options, result};
use crate::args::{self, Format};

/// Gives an image further names.
pub fn run(arguments: &args::Tag, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let ask = if arguments.remote { Ask::Registry } else { Ask::StoreFirst };
    let options = registry_options(&arguments.registry)?;
    let (digest, tagged) = look::tag(&arguments.old, &arguments.new, ask, &options, world)?;
    let tag = |tag: &Tagged| json!({"reference": tag.name.to_string(), "was": tag.was});
    let shape = json!({"digest": digest, "tags": tagged.iter().map(tag).collect::<Vec<_>>()});
    result(format, &shape, || {
        let line = |tag: &Tagged| match tag.was {
            None => tag.name.to_string(),
            Some(was) if was == digest => format!("{}  (stood for it already)", tag.name),
            Some(was) => format!("{}  (moved: it was {was})", tag.name),
        };
        std::iter::once(digest.to_string()).chain(tagged.iter().map(line)).collect::<Vec<_>>().join("\n")
    })?;
    Ok(0)
}
