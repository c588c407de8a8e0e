//! `--debug-shell`: a shell where a step has failed, with the files, variables, user, folder and mounts that its command had.

use std::io;

use corten_diagnostic::Report;
use corten_engine::stages::Progress;
use corten_run::window;
use corten_sandbox::{NotStarted, Sandbox, Window, not_started};

/// bash where the image has it.
const SHELL: [&str; 3] = ["/bin/sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash; exec sh"];
/// Where the terminal does not tell its size.
const USUAL: Window = Window { rows: 24, columns: 80 };

/// Opens it on the terminal that stdin is, and waits for its end. What it changes is thrown away.
pub fn open(sandbox: &Sandbox, name: &str, why: &Report, progress: &dyn Progress) {
    let mut sandbox = sandbox.clone();
    sandbox.process.arguments = SHELL.map(Into::into).to_vec();
    sandbox.process.environment.entry("TERM".into()).or_insert_with(|| "xterm".into());
    sandbox.process.terminal = Some(window(io::stdin()).unwrap_or(USUAL));
    progress.rest(why);
    progress.note(&format!("a shell where {name} has failed"));
    progress.note("exit ends it, and the build");
    match corten_run::interactive(&sandbox) {
        Err(failure) if not_started(&failure) == Some(NotStarted::Missing) => {
            progress.note("no shell can be opened: the stage has no /bin/sh");
        }
        Err(failure) => progress.note(&format!("no shell can be opened: {failure}")),
        Ok(_) => {}
    }
}
