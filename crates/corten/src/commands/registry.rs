//! `corten registry serve`.

use std::fmt::Write;
use std::time::SystemTime;

use corten_diagnostic::{Failure, Report};
use corten_flow::serve::{Asked, ServeOptions, prepare, serve};
use corten_flow::{Store, World};
use serde::Serialize;

use super::{registry_options, result};
use crate::args::{self, Format, RegistryCommand};
use crate::render::say;

/// What `--format json` prints first: documented in docs/json.md.
#[derive(Serialize)]
struct Shape<'a> {
    address: &'a str,
}

/// Serves the store until it is interrupted.
pub fn run(arguments: &args::Registry, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let RegistryCommand::Serve(arguments) = &arguments.command;
    let options = ServeOptions {
        listen: arguments.listen,
        users: arguments.htpasswd.clone(),
        readers: arguments.reader.clone(),
        tls: arguments.tls_cert.clone().zip(arguments.tls_key.clone()),
        read_only: arguments.read_only,
        insecure: arguments.insecure_listen,
        largest_blob: arguments.largest_blob,
        bring: arguments.bring,
        registry: registry_options(&arguments.registry)?,
    };
    prepare(&options, world)?;
    let ready = |address: &str| -> Result<(), Failure> {
        let who = if options.users.is_some() { "the users of the file" } else { "everybody who reaches it" };
        let what = if options.read_only { "pull" } else { "pull, push and delete" };
        world.events.note(&format!("{} is served: {who} can {what}; Ctrl-C ends it", world.store.root().display()));
        result(format, &Shape { address }, || address.to_owned())
    };
    let every = arguments.log_requests;
    let log = move |asked: &Asked| {
        if every || asked.trouble.is_some() {
            say(&line(asked));
        }
    };
    let root = world.store.root().to_owned();
    let open = move || Store::open(&root).map(|store| store.marking(SystemTime::now()));
    serve(&options, &ready, Box::new(open), Box::new(log))?;
    Ok(0)
}

/// One request, on one line, whatever it holds.
fn line(asked: &Asked) -> String {
    let user = asked.user.as_deref().unwrap_or("-");
    let mut line = String::new();
    let parts = [user, &asked.method, &asked.target].map(|text| text.escape_debug().to_string());
    let _ = write!(line, "{} {} {} {}", asked.peer, parts.join(" "), asked.status, asked.bytes);
    if let Some(trouble) = &asked.trouble {
        let _ = write!(line, " ({})", trouble.escape_debug());
    }
    line
}
