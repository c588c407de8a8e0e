//! Rules that follow what somebody wrote down: settings, pyproject.toml, Procfile.

use corten_diagnostic::{Failure, Span};

use super::command::{Server, Target, environment_programs, program};
use super::objects::{Interface, is_web};
use super::source::{Module, is_name};
use super::{Certainty, Entry, Kind, Search, entry};
use crate::settings::{Setting, words};

impl<'a> Search<'a> {
    pub fn run_of_settings(&self) -> Option<Entry> {
        let run = self.facts.settings.run.as_ref()?;
        let mut found = entry(Kind::Written, run.value.clone(), "'run' of the settings", Certainty::Certain);
        found.at.clone_from(&run.at);
        found.web = self.listens(&run.value);
        found.health_path = self.any_health_path();
        Some(found)
    }

    /// Does a written command listen? A server does, and so does a script that imports one.
    fn listens(&self, command: &[String]) -> bool {
        const SERVERS: [&str; 12] = [
            "uvicorn",
            "gunicorn",
            "hypercorn",
            "granian",
            "waitress",
            "waitress-serve",
            "streamlit",
            "fastapi",
            "flask",
            "runserver",
            "daphne",
            "vllm",
        ];
        command.iter().any(|word| {
            let name = word.rsplit('/').next().unwrap_or(word);
            let script = self
                .module(word.trim_start_matches("./"))
                .or_else(|| self.module(&format!("{}.py", word.replace('.', "/"))));
            SERVERS.contains(&name) || script.is_some_and(is_web)
        })
    }

    pub fn fastapi_entrypoint(&self) -> Result<Option<Entry>, Failure> {
        let project = self.facts.settings.project.as_ref();
        let Some(written) = project.and_then(|project| project.fastapi.as_ref()) else { return Ok(None) };
        let Some((module, object)) = written.split_once(':') else {
            let failure = Failure::input(format!("'{}' of [tool.fastapi] is no \"module:object\"", written.value));
            return Err(written.at.clone().map_or_else(
                || Failure::input("entrypoint of [tool.fastapi] is no \"module:object\""),
                |at| failure.at(at),
            ));
        };
        let target = Target { module, object, root: "", interface: Interface::Asgi, factory: false };
        let server = Server::pick(self.facts, &target, "FastAPI").map_err(|failure| match &written.at {
            Some(at) => failure.at(at.clone()),
            None => failure,
        })?;
        let mut found = entry(Kind::Web, server.command, "[tool.fastapi] entrypoint", Certainty::Certain);
        found.at.clone_from(&written.at);
        found.health_path = self.any_health_path();
        Ok(Some(found))
    }

    pub fn procfile(&self) -> Result<Option<Entry>, Failure> {
        let Some((path, text)) = self.facts.sources.iter().find(|(path, _)| path == "Procfile") else {
            return Ok(None);
        };
        let lines = text.lines().enumerate().filter_map(|(at, line)| Some((at + 1, line.trim().strip_prefix("web:")?)));
        let Some((number, line)) = lines.into_iter().next() else { return Ok(None) };
        let at = Span::line_of(path, text.as_str(), number);
        let port = self.facts.port().to_string();
        let line = ["${PORT:-8000}", "${PORT:-8080}", "${PORT:-5000}", "${PORT}", "$PORT"]
            .iter()
            .fold(line.to_owned(), |line, variable| line.replace(variable, &port));
        let words = words(&line).map_err(|why| {
            Failure::input(format!("the command of Procfile {why}"))
                .at(at.clone())
                .hint("write the command as 'run' in corten.toml or [tool.corten]")
        })?;
        let mut found = entry(Kind::Written, words, "'web' of Procfile", Certainty::Certain);
        found.at = Some(at);
        found.health_path = self.any_health_path();
        Ok(Some(found))
    }

    pub fn own_console_script(&self) -> Option<Entry> {
        let project = self.facts.settings.project.as_ref()?;
        let (name, target) = project.scripts.iter().find(|(name, _)| same_name(name, &project.name.value))?;
        let mut found = self.console_script(name, target)?;
        found.certainty = Certainty::High;
        Some(found)
    }

    pub fn only_console_script(&self) -> Option<Entry> {
        let scripts = &self.facts.settings.project.as_ref()?.scripts;
        let (name, target) = scripts.iter().next().filter(|_| scripts.len() == 1)?;
        self.console_script(name, target)
    }

    /// The script where the project is installed; else its function, called as the script would.
    fn console_script(&self, name: &str, target: &Setting<String>) -> Option<Entry> {
        let (dotted, function) = target.split_once(':')?;
        let function = function.split('[').next()?.trim();
        let dotted = dotted.trim();
        let good = dotted.split('.').chain(function.split('.')).all(is_name);
        let (module, root) = self.find_module(dotted).filter(|_| good)?;
        let first = function.split('.').next()?;
        let is_installed = self.facts.settings.project.as_ref().is_some_and(|project| {
            self.facts.installed.iter().any(|installed| same_name(installed, &project.name.value))
        });
        let script = vec![format!("{}/{name}", environment_programs())];
        let call = vec![
            program(),
            "-c".to_owned(),
            format!("import sys; from {dotted} import {first}; sys.exit({function}())"),
        ];
        let command = if is_installed { script } else { call };
        let mut found = entry(Kind::ConsoleScript, command, format!("console script '{name}'"), Certainty::Medium);
        found.at.clone_from(&target.at);
        found.web = is_web(module);
        found.health_path = self.any_health_path().filter(|_| found.web);
        found.python_path = root;
        Some(found)
    }

    /// The file of a dotted name, and the folder that it is below.
    fn find_module(&self, dotted: &str) -> Option<(&'a Module<'a>, String)> {
        let path = dotted.replace('.', "/");
        ["", "src"].iter().find_map(|root| {
            let below = if root.is_empty() { path.clone() } else { format!("{root}/{path}") };
            let file = self.module(&format!("{below}.py")).or_else(|| self.module(&format!("{below}/__init__.py")))?;
            Some((file, (*root).to_owned()))
        })
    }
}

fn same_name(a: &str, b: &str) -> bool {
    let plain = |name: &str| name.to_lowercase().replace(['_', '.'], "-");
    plain(a) == plain(b)
}
