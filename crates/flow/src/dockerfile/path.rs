//! Which way a folder is built: from its lock, or from its Dockerfile.

use corten_diagnostic::{Event, Failure};
use corten_frontend::settings::{Frontend, Settings};

use super::request::Request;
use super::source;
use crate::project;
use crate::world::World;

/// Which way, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// From the lock. The plan says why.
    Native,
    /// From the Dockerfile; that was said.
    Dockerfile,
}

/// Decides. Where it is the Dockerfile, the decision is the first thing that is said.
///
/// # Errors
/// Usage where the settings are wrong, or `--frontend native` stands beside what only a Dockerfile has.
pub fn path(request: &Request, frontend: Option<Frontend>, world: &World<'_>) -> Result<Path, Failure> {
    let Some(why) = why(request, frontend)? else { return Ok(Path::Native) };
    world.events.emit(Event::Decision { about: "path", choice: "Dockerfile", why: &why });
    Ok(Path::Dockerfile)
}

fn why(request: &Request, frontend: Option<Frontend>) -> Result<Option<String>, Failure> {
    let remote = source::is_remote(&request.context) || request.context == "-";
    match (&request.file, frontend) {
        (Some(_), Some(Frontend::Native)) => {
            Err(Failure::usage("--frontend native takes no Dockerfile").hint("leave out -f or --frontend"))
        }
        (Some(_), _) => Ok(Some("asked for by -f".to_owned())),
        (None, Some(Frontend::Dockerfile)) => Ok(Some("asked for by --frontend".to_owned())),
        (None, Some(Frontend::Native)) => Ok(None),
        (None, None) if remote => Ok(Some("what is built is not a folder here".to_owned())),
        (None, None) => of_folder(std::path::Path::new(&request.context)),
    }
}

fn of_folder(folder: &std::path::Path) -> Result<Option<String>, Failure> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let settings = Settings::read(&project::texts(folder)?)?;
    let (frontend, why) = project::way(folder, None, &settings);
    Ok((frontend == Frontend::Dockerfile).then_some(why))
}
