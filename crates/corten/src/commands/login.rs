//! `corten login` and `corten logout`.

use std::io::Read;

use corten_diagnostic::{Failure, Report};
use corten_flow::{World, registry};

use super::registry_options;
use crate::args;

/// No password is longer.
const LONGEST: u64 = 64 << 10;

/// Logs in: the registry is asked first.
pub fn run(arguments: &args::Login, world: &World<'_>) -> Result<u8, Report> {
    let mut password = String::new();
    let read = std::io::stdin().take(LONGEST).read_to_string(&mut password);
    read.map_err(|error| Failure::usage(format!("reading the password from stdin: {error}")))?;
    let password = password.trim_end_matches(['\n', '\r']);
    if password.is_empty() {
        return Err(Failure::usage("the password on stdin is empty")
            .hint(format!("for instance: `corten login {} -u NAME --password-stdin < FILE`", arguments.host))
            .into());
    }
    let options = registry_options(&arguments.registry)?;
    let place = registry::login(&arguments.host, &arguments.username, password, &options, world)?;
    world
        .events
        .note(&format!("logged in at {} as {}; the password is kept {place}", arguments.host, arguments.username));
    Ok(0)
}

/// Forgets a registry's user and password.
pub fn forget(arguments: &args::Logout, world: &World<'_>) -> Result<u8, Report> {
    let known = world.auth.forget(&arguments.host)?;
    let text = if known { "is forgotten" } else { "was not known" };
    world.events.note(&format!("{} {text}", arguments.host));
    Ok(0)
}
