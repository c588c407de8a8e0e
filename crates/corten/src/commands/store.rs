//! `corten store`.

use corten_diagnostic::Report;
use corten_flow::World;
use serde::Serialize;

use super::result;
use crate::args::{self, Format, StoreCommand};
use crate::render::say;

#[derive(Serialize)]
struct Shape {
    problems: Vec<String>,
}

/// Looks after the store.
pub fn run(arguments: &args::Store, format: Format, world: &World<'_>) -> Result<u8, Report> {
    match arguments.command {
        StoreCommand::Verify => verify(format, world),
    }
}

fn verify(format: Format, world: &World<'_>) -> Result<u8, Report> {
    let verified = world.store.verify(world.events)?;
    let shape = Shape {
        problems: verified.iter().map(|problem| format!("{}: {}", problem.path.display(), problem.why)).collect(),
    };
    result(format, &shape, || match shape.problems.as_slice() {
        [] => "every byte is what its name says".to_owned(),
        problems => problems.join("\n"),
    })?;
    if shape.problems.is_empty() {
        return Ok(0);
    }
    say("hint: remove what is damaged; what a build needs of it, the next one downloads or makes again");
    Ok(1)
}
