//! The `keyring` program, as `--keyring-provider subprocess` of pip and uv calls it.

use std::process::{Command, Stdio};

/// No password is longer.
const LONGEST: usize = 64 << 10;

/// User and password of a service: `keyring get SERVICE USER`, or, where the user is not known, `keyring --mode creds get
/// SERVICE`. None where it knows none, or is not there.
pub fn ask(service: &str, user: Option<&str>) -> Option<(String, String)> {
    let mut command = Command::new("keyring");
    match user {
        Some(user) => command.args(["get", service, user]),
        None => command.args(["--mode", "creds", "get", service]),
    };
    let output = corten_sandbox::as_caller(&mut command).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    if !output.status.success() || output.stdout.len() > LONGEST {
        return None;
    }
    let said = String::from_utf8(output.stdout).ok()?;
    let mut lines = said.lines();
    let found = match user {
        Some(user) => (user.to_owned(), lines.next()?.to_owned()),
        None => (lines.next()?.to_owned(), lines.next()?.to_owned()),
    };
    (!found.1.is_empty()).then_some(found)
}
