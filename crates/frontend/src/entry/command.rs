//! The words that start a server. Each server is named as it is in the lock.

use corten_diagnostic::Failure;

use super::objects::Interface;
use super::{Facts, missing};

/// The environment's interpreter.
pub(super) fn program() -> String {
    format!("{}/python", environment_programs())
}

/// Where the environment has its programs.
pub(super) fn environment_programs() -> &'static str {
    "/opt/venv/bin"
}

/// What a server is to serve.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub module: &'a str,
    pub object: &'a str,
    /// The folder that the module is below; empty for the working directory.
    pub root: &'a str,
    pub interface: Interface,
    pub factory: bool,
}

/// A server's command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub command: Vec<String>,
    pub warning: Option<String>,
}

impl Server {
    /// The best server that the lock has.
    pub fn pick(facts: &Facts<'_>, target: &Target<'_>, framework: &str) -> Result<Self, Failure> {
        let port = facts.port().to_string();
        let good = |words: Vec<&str>| Self { command: with_python(&words), warning: None };
        let name = format!("{}:{}", target.module, target.object);
        let called = format!("{name}{}", if target.factory { "()" } else { "" });
        let bind = format!("0.0.0.0:{port}");
        let listen = ["--host", "0.0.0.0", "--port", port.as_str()];
        let below = |flag: &'static str| if target.root.is_empty() { vec![] } else { vec![flag, target.root] };
        let factory = || if target.factory { vec!["--factory"] } else { vec![] };
        let asgi = target.interface == Interface::Asgi;
        Ok(if asgi && facts.has("uvicorn") {
            good([vec!["uvicorn", &name], factory(), below("--app-dir"), listen.to_vec()].concat())
        } else if !asgi && facts.has("gunicorn") {
            let options = vec!["gunicorn", &called, "--bind", &bind, "--worker-tmp-dir", "/dev/shm"];
            good([options, below("--pythonpath")].concat())
        } else if asgi && facts.has("hypercorn") && target.root.is_empty() {
            good(vec!["hypercorn", &called, "--bind", &bind])
        } else if facts.has("granian") && target.root.is_empty() {
            let interface = if asgi { "asgi" } else { "wsgi" };
            good([vec!["granian", &name], factory(), vec!["--interface", interface], listen.to_vec()].concat())
        } else if !asgi && facts.has("waitress") && target.root.is_empty() {
            let call = if target.factory { vec!["--call"] } else { vec![] };
            good([vec!["waitress"], call, vec!["--listen", &bind, &name]].concat())
        } else if !asgi && framework == "Flask" && target.root.is_empty() {
            let command = with_python(&[vec!["flask", "--app", &name, "run"], listen.to_vec()].concat());
            let warning = "this is Flask's server for development; add gunicorn to the project's dependencies";
            Self { command, warning: Some(warning.into()) }
        } else {
            return Err(missing(if asgi { "uvicorn" } else { "gunicorn" }, &format!("{framework} application")));
        })
    }
}

fn with_python(words: &[&str]) -> Vec<String> {
    [program(), "-m".to_owned()].into_iter().chain(words.iter().map(|word| (*word).to_owned())).collect()
}
