//! Who runs what: the last USER, users that the file makes, images that come with one.

use corten_frontend::dockerfile::{Command, Word};

use super::images::Image;
use super::start;
use crate::lint::{Lint, Stage, Step};
use crate::shell::Call;

/// The USER that counts for a stage.
pub fn last<'l>(lint: &'l Lint<'_>, stage: &'l Stage) -> Option<(&'l Step<'l>, &'l Word)> {
    let users = start::steps(lint, stage).filter_map(|step| match &step.command {
        Some(Command::User(word)) => Some((step, word)),
        _ => None,
    });
    users.last()
}

/// `root`, `0`, `00`, `0:0`, `root:app`; nothing, too.
pub fn is_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or_default();
    name.is_empty() || name == "root" || name.bytes().all(|byte| byte == b'0')
}

/// Images that are known to come with another user than root.
pub fn has_user(image: &Image<'_>) -> bool {
    let tag = image.tag.as_deref().unwrap_or_default();
    let starts = [
        "jupyter/",
        "quay.io/jupyter/",
        "cgr.dev/chainguard/",
        "bitnami/",
        "registry.access.redhat.com/ubi",
        "mambaorg/micromamba",
    ];
    tag.contains("nonroot")
        || tag.contains("rootless")
        || starts.iter().any(|start| image.repository.starts_with(start))
}

fn makes<'l>(lint: &'l Lint<'_>) -> impl Iterator<Item = Call<'l>> {
    lint.calls().map(|(_, call)| call).filter(|call| call.is_any(&["useradd", "adduser"]))
}

fn names(call: &Call<'_>, name: &str) -> bool {
    call.arguments().last().is_some_and(|word| word.is(name)) || call.has(name)
}

/// Is a user known to have no home: made without one, or not made at all?
pub fn has_no_home(lint: &Lint<'_>, user: &str) -> bool {
    let name = user.split(':').next().unwrap_or_default();
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    let made: Vec<Call<'_>> = makes(lint).collect();
    let own = made.iter().find(|call| names(call, name)).or(if is_number { made.first() } else { None });
    match own {
        None => is_number,
        Some(call) if call.is("useradd") => {
            let without = call.has_flag(&["M", "no-create-home", "r", "system"]);
            without && !call.has_flag(&["m", "create-home"])
        }
        Some(call) => call.has_flag(&["no-create-home", "H"]),
    }
}
