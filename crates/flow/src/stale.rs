//! A lock that no longer belongs to its manifest: the image would get the packages of yesterday's dependencies.
//!
//! | lock | what is done |
//! |---|---|
//! | keeps what it was made from (uv, Poetry, PDM, Pipenv) | an error that says what has changed; `--frozen` goes on, with finding ML185 |
//! | keeps nothing of the kind (pylock, requirements) | contradictions are finding ML185 |
//!
//! Reading a large lock takes longer than all else that a repeated build does, so the answer is remembered under the
//! digest of the texts that decide it.

use corten_diagnostic::{Failure, Report};
use corten_frontend::python::{InStep, LockKind, in_step};
use corten_oci::Digest;
use corten_package::pep440::Specifiers;
use corten_store::Key;

use crate::project::Project;
use crate::world::World;

/// Raised when the answer changes for the same texts.
const FORMAT: u32 = 1;

/// What differs between the project's lock and its manifest, one clause each; none where they agree or cannot be compared.
///
/// # Errors
/// Input: the lock does not parse, or it is stale and not `frozen`.
pub fn out_of_step(project: &Project, frozen: bool, world: &World<'_>) -> Result<Vec<String>, Report> {
    let key = key(project);
    let known = world.store.record(&key)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let differences: Vec<String> = match known {
        Some(known) => known,
        None => {
            let found = compare(project)?;
            let bytes = serde_json::to_vec(&found)
                .map_err(|error| Failure::bug(format!("remembering whether a lock is in step: {error}")))?;
            let batch = world.store.batch();
            batch.record(&key, &bytes)?;
            batch.finish()?;
            found
        }
    };
    if differences.is_empty() || frozen || !is_readable(project) || relock(project.lock.kind).is_none() {
        return Ok(differences);
    }
    Err(stale(project, &differences).into())
}

fn key(project: &Project) -> Key {
    let text = |text: &str| Digest::of(text.as_bytes());
    let members: Vec<_> = project.members.iter().map(|(folder, member)| (folder, text(&member.text))).collect();
    let manifest = project.manifest.as_ref().map(|manifest| text(&manifest.text));
    let facts = ("in step", FORMAT, project.lock_name(), project.lock_digest, manifest, members);
    Key(Digest::of(serde_json::to_vec(&facts).unwrap_or_default()))
}

fn compare(project: &Project) -> Result<Vec<String>, Failure> {
    match in_step(&project.lock, project.manifest.as_ref(), &project.members)? {
        InStep::No(differences) => Ok(differences),
        InStep::Yes | InStep::Unknown(_) => Ok(Vec::new()),
    }
}

/// What cannot be read is told as that, later.
fn is_readable(project: &Project) -> bool {
    let python = project.manifest.as_ref().and_then(|manifest| manifest.requires_python());
    python.is_none_or(|text| text.parse::<Specifiers>().is_ok())
}

/// What makes a lock anew that keeps what it was made from.
fn relock(kind: LockKind) -> Option<&'static str> {
    match kind {
        LockKind::Uv => Some("uv lock"),
        LockKind::Poetry => Some("poetry lock"),
        LockKind::Pdm => Some("pdm lock"),
        LockKind::Pipenv => Some("pipenv lock"),
        LockKind::Pylock | LockKind::Requirements | LockKind::Pixi | LockKind::Conda => None,
    }
}

fn stale(project: &Project, differences: &[String]) -> Failure {
    let manifest = project.lock.kind.companion().unwrap_or("pyproject.toml");
    let message = format!("{} is out of step with {manifest}: {}", project.lock_name(), differences.join("; "));
    let tool = relock(project.lock.kind).unwrap_or("its tool");
    let failure = Failure::input(message)
        .hint(format!("lock again with `{tool}`, and commit the lock"))
        .hint("--frozen takes the lock as it is");
    match project.manifest.as_ref().and_then(|manifest| manifest.place_of(differences)) {
        Some(at) => failure.at(at),
        None => failure,
    }
}
