//! How a project is started: found in its settings, its pyproject.toml, its Procfile, or else in its source.
//!
//! Nothing runs. Every answer says by which rule it was found, where, and how certain that is; where several answers are as
//! good, or none is there, the error says what was seen and how to write it down. In this order:
//!
//! | rule | certainty |
//! |---|---|
//! | `run` of the settings, `[tool.fastapi] entrypoint`, `web:` of a Procfile | certain |
//! | a console script with the project's own name | high |
//! | Django's manage.py | high |
//! | one object of a web framework; main.py, app.py, api.py and app/… beat the others | high at the root, else medium |
//! | a function that makes one | medium |
//! | a page of Streamlit, a demo of Gradio | high if there is one |
//! | `uvicorn.run("module:object")` | medium |
//! | the only console script, `package/__main__.py` | medium |
//! | a script at the root: main.py, app.py …, or the only one with a main guard | low |
//!
//! The image has no shell, so a command is a list of words, begins with the environment's Python wherever it can, and has the port
//! written out.

mod command;
mod objects;
mod source;

use std::sync::Arc;

use corten_diagnostic::{Failure, Span};

use crate::settings::{Port, Settings, words};
use command::{Server, program};
use objects::{Object, gradio, is_web, objects, streamlit};
use source::{Module, string_behind};

/// How sure an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// A guess by names.
    Low,
    /// Likely.
    Medium,
    /// There is one, and it says what it is.
    High,
    /// Somebody wrote it down.
    Certain,
}

/// What is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An ASGI or WSGI application, by its server.
    Web,
    /// A Django project.
    Django,
    /// A page of Streamlit.
    Streamlit,
    /// A demo of Gradio.
    Gradio,
    /// A console script's function.
    ConsoleScript,
    /// A file or package.
    Script,
    /// As somebody wrote it.
    Written,
}

/// How a project is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Words; the first is a program of the image.
    pub command: Vec<String>,
    /// By which rule it was found, for people: `FastAPI object 'app'`.
    pub rule: String,
    /// How sure that is.
    pub certainty: Certainty,
    /// Where it was seen.
    pub at: Option<Span>,
    /// Does it listen?
    pub web: bool,
    /// What it is.
    pub kind: Kind,
    /// A path that answers for its health, where one was seen.
    pub health_path: Option<String>,
    /// The folder, relative to the project, that has to be on `PYTHONPATH`; empty for the project itself.
    pub python_path: String,
    /// Variables that the command needs.
    pub env: Vec<(String, String)>,
    /// What the user ought to know.
    pub warning: Option<String>,
}

/// What an entry is found from.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Paths (relative, with slashes) and texts of the files for which [`is_source`] holds.
    pub sources: &'a [(String, Arc<str>)],
    /// The project's settings, with its `[project]`.
    pub settings: &'a Settings,
    /// Normalised names of the distributions that will be installed.
    pub installed: &'a [String],
}

impl Facts<'_> {
    fn has(&self, distribution: &str) -> bool {
        self.installed.iter().any(|name| name == distribution)
    }

    fn port(&self) -> u16 {
        match self.settings.port.value {
            Port::Number(port) => port,
            Port::Auto | Port::None => Port::USUAL,
        }
    }
}

/// Is a file worth reading for [`find`]?
pub fn is_source(path: &str) -> bool {
    const SKIPPED: [&str; 18] = [
        "tests",
        "test",
        "testing",
        "docs",
        "doc",
        "examples",
        "example",
        "notebooks",
        "migrations",
        "venv",
        "env",
        "site-packages",
        "node_modules",
        "build",
        "dist",
        "benchmarks",
        "wandb",
        "mlruns",
    ];
    let mut folders: Vec<&str> = path.split('/').collect();
    let Some(name) = folders.pop() else { return false };
    if path == "Procfile" {
        return true;
    }
    let skipped = folders.iter().any(|folder| folder.starts_with('.') || SKIPPED.contains(folder));
    let test = name.starts_with("test_")
        || name.ends_with("_test.py")
        || matches!(name, "conftest.py" | "setup.py" | "noxfile.py");
    name.ends_with(".py") && !name.starts_with('.') && !skipped && !test && folders.len() <= 4
}

/// Finds how a project is started.
///
/// # Errors
/// Input: there is nothing to start, there are several things, or a server is missing from the lock. Each says what was seen.
pub fn find(facts: &Facts<'_>) -> Result<Entry, Failure> {
    let python = facts.sources.iter().filter(|(path, _)| path.ends_with(".py") && is_source(path));
    let modules: Vec<Module<'_>> = python.map(|(path, text)| Module::read(path, text)).collect();
    let search = Search { facts, modules: &modules, objects: objects(&modules) };
    type Rule<'s> = fn(&Search<'s>) -> Result<Option<Entry>, Failure>;
    let rules: [Rule<'_>; 12] = [
        |search| Ok(search.run_of_settings()),
        Search::fastapi_entrypoint,
        Search::procfile,
        |search| Ok(search.own_console_script()),
        Search::django,
        Search::web_object,
        Search::streamlit_page,
        Search::gradio_demo,
        Search::uvicorn_run,
        |search| Ok(search.only_console_script()),
        |search| Ok(search.package_main()),
        |search| Ok(search.script()),
    ];
    for rule in rules {
        if let Some(entry) = rule(&search)? {
            return Ok(entry);
        }
    }
    Err(search.nothing())
}

struct Search<'a> {
    facts: &'a Facts<'a>,
    modules: &'a [Module<'a>],
    objects: Vec<Object>,
}

fn entry(kind: Kind, command: Vec<String>, rule: impl Into<String>, certainty: Certainty) -> Entry {
    Entry {
        command,
        rule: rule.into(),
        certainty,
        at: None,
        web: !matches!(kind, Kind::Script | Kind::ConsoleScript),
        kind,
        health_path: None,
        python_path: String::new(),
        env: Vec::new(),
        warning: None,
    }
}

impl<'a> Search<'a> {
    fn module(&self, path: &str) -> Option<&'a Module<'a>> {
        self.modules.iter().find(|module| module.path == path)
    }

    fn span(&self, module: &Module<'_>, line: usize) -> Span {
        Span::line_of(module.path, module.text, line)
    }

    fn run_of_settings(&self) -> Option<Entry> {
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

    fn fastapi_entrypoint(&self) -> Result<Option<Entry>, Failure> {
        let project = self.facts.settings.project.as_ref();
        let Some(written) = project.and_then(|project| project.fastapi.as_ref()) else { return Ok(None) };
        let Some((module, object)) = written.split_once(':') else {
            let failure = Failure::input(format!("'{}' of [tool.fastapi] is no \"module:object\"", written.value));
            return Err(written.at.clone().map_or_else(
                || Failure::input("entrypoint of [tool.fastapi] is no \"module:object\""),
                |at| failure.at(at),
            ));
        };
        let target = command::Target { module, object, root: "", interface: objects::Interface::Asgi, factory: false };
        let server = Server::pick(self.facts, &target, "FastAPI").map_err(|failure| match &written.at {
            Some(at) => failure.at(at.clone()),
            None => failure,
        })?;
        let mut found = entry(Kind::Web, server.command, "[tool.fastapi] entrypoint", Certainty::Certain);
        found.at.clone_from(&written.at);
        found.health_path = self.any_health_path();
        Ok(Some(found))
    }

    fn procfile(&self) -> Result<Option<Entry>, Failure> {
        let Some((path, text)) = self.facts.sources.iter().find(|(path, _)| path == "Procfile") else {
            return Ok(None);
        };
        let lines = text.lines().enumerate().filter_map(|(at, line)| Some((at + 1, line.trim().strip_prefix("web:")?)));
        let Some((number, line)) = lines.into_iter().next() else { return Ok(None) };
        let at = Span::line_of(path, Arc::clone(text), number);
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

    fn own_console_script(&self) -> Option<Entry> {
        let project = self.facts.settings.project.as_ref()?;
        let (name, target) = project.scripts.iter().find(|(name, _)| same_name(name, &project.name.value))?;
        let mut found = self.console_script(name, target)?;
        found.certainty = Certainty::High;
        Some(found)
    }

    fn only_console_script(&self) -> Option<Entry> {
        let scripts = &self.facts.settings.project.as_ref()?.scripts;
        let (name, target) = scripts.iter().next().filter(|_| scripts.len() == 1)?;
        self.console_script(name, target)
    }

    /// The script's function, called as the script would: the project itself is not installed.
    fn console_script(&self, name: &str, target: &crate::settings::Setting<String>) -> Option<Entry> {
        let (dotted, function) = target.split_once(':')?;
        let function = function.split('[').next()?.trim();
        let dotted = dotted.trim();
        let good = dotted.split('.').chain(function.split('.')).all(source::is_name);
        let (module, root) = self.find_module(dotted).filter(|_| good)?;
        let first = function.split('.').next()?;
        let program = vec![
            program(),
            "-c".to_owned(),
            format!("import sys; from {dotted} import {first}; sys.exit({function}())"),
        ];
        let mut found = entry(Kind::ConsoleScript, program, format!("console script '{name}'"), Certainty::Medium);
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

    fn django(&self) -> Result<Option<Entry>, Failure> {
        let manage = self
            .modules
            .iter()
            .filter(|module| module.file_name() == "manage.py" && module.text.contains("execute_from_command_line"));
        let Some(manage) = manage.min_by_key(|module| module.depth()) else { return Ok(None) };
        let root = manage.path.strip_suffix("manage.py").unwrap_or_default().trim_end_matches('/').to_owned();
        let makes = |function: &str| {
            let found = self.modules.iter().find_map(|module| {
                let line = module.top().find(|line| {
                    source::assigned_call(&line.code)
                        .is_some_and(|(name, callee)| name == "application" && callee.ends_with(function))
                })?;
                Some((module, line.number))
            });
            found.map(|(module, line)| (self.span(module, line), dotted_below(module.path, &root)))
        };
        let wsgi = makes("get_wsgi_application").filter(|_| self.facts.has("gunicorn"));
        let asgi = makes("get_asgi_application").filter(|_| self.facts.has("uvicorn"));
        let found =
            wsgi.map(|found| (found, objects::Interface::Wsgi)).or(asgi.map(|found| (found, objects::Interface::Asgi)));
        if let Some(((at, module), interface)) = found {
            let target =
                command::Target { module: &module, object: "application", root: &root, interface, factory: false };
            let mut found = entry(
                Kind::Django,
                Server::pick(self.facts, &target, "Django")?.command,
                "Django's manage.py",
                Certainty::High,
            );
            found.at = Some(at);
            found.python_path = root;
            return Ok(Some(found));
        }
        let address = format!("0.0.0.0:{}", self.facts.port());
        let command = [program(), manage.path.to_owned(), "runserver".into(), "--noreload".into(), address];
        let mut found = entry(Kind::Django, command.to_vec(), "Django's manage.py", Certainty::Medium);
        found.at = Some(self.span(manage, 1));
        found.warning =
            Some("this is Django's server for development; add gunicorn to the project's dependencies".into());
        found.python_path = root;
        Ok(Some(found))
    }

    fn web_object(&self) -> Result<Option<Entry>, Failure> {
        let Some(first) = self.objects.first() else { return Ok(None) };
        let (object, certainty) = match self.objects.len() {
            1 => (first, None),
            _ => self.best_object()?,
        };
        let Some(module) = self.modules.get(object.module) else { return Ok(None) };
        let at = self.span(module, object.line);
        let (root, dotted) = self.root_of(module);
        let name = format!("{}{}", object.name, object.attribute);
        let target = command::Target {
            module: &dotted,
            object: &name,
            root: &root,
            interface: object.interface,
            factory: object.factory,
        };
        let server = Server::pick(self.facts, &target, object.framework).map_err(|failure| failure.at(at.clone()))?;
        let what = if object.factory { "function that makes one" } else { "object" };
        let rule = format!("{} {what} '{}'", object.framework, object.name);
        let by_depth = if object.factory || module.depth() > 1 { Certainty::Medium } else { Certainty::High };
        let mut found = entry(Kind::Web, server.command, rule, certainty.unwrap_or(by_depth));
        found.health_path = health_path(module, Some(&object.name));
        found.at = Some(at);
        found.python_path = root;
        found.warning = server.warning;
        Ok(Some(found))
    }

    /// Of several objects, the one in the file with the best name.
    fn best_object(&self) -> Result<(&Object, Option<Certainty>), Failure> {
        const BEST: [&str; 6] = ["main.py", "app.py", "api.py", "app/main.py", "app/app.py", "app/api.py"];
        const GOOD: [&str; 6] = ["asgi.py", "wsgi.py", "main.py", "app.py", "api.py", "server.py"];
        let path = |object: &&Object| self.modules.get(object.module).map_or("", |module| module.path);
        let best: Vec<_> = self.objects.iter().filter(|object| BEST.contains(&path(object))).collect();
        if let Some(object) = one_by_name(&best) {
            return Ok((object, None));
        }
        let good = |object: &&Object| GOOD.contains(&path(object).rsplit('/').next().unwrap_or_default());
        let depth = |object: &&Object| path(object).matches('/').count();
        let least = self.objects.iter().filter(good).map(|object| depth(&object)).min();
        let named: Vec<_> = self.objects.iter().filter(good).filter(|object| Some(depth(object)) == least).collect();
        match one_by_name(&named) {
            Some(object) if best.is_empty() => Ok((object, Some(Certainty::Medium))),
            _ => Err(self.several()),
        }
    }

    fn several(&self) -> Failure {
        let shown = self.objects.iter().filter_map(|object| {
            let module = self.modules.get(object.module)?;
            Some(format!("{} '{}' in {}:{}", object.framework, object.name, module.path, object.line))
        });
        let seen: Vec<_> = shown.take(6).collect();
        Failure::input(format!("the project can be started in several ways: {}", seen.join(", ")))
            .hint("write the command of this service as 'run' in corten.toml or [tool.corten]")
    }

    fn streamlit_page(&self) -> Result<Option<Entry>, Failure> {
        const NAMES: [&str; 4] = ["streamlit_app.py", "app.py", "main.py", "Home.py"];
        let pages: Vec<_> = self.modules.iter().filter_map(|module| Some((module, streamlit(module)?))).collect();
        let least = pages.iter().map(|(module, _)| module.depth()).min();
        let named = NAMES.iter().find_map(|name| {
            pages.iter().find(|(module, _)| module.file_name() == *name && Some(module.depth()) == least)
        });
        let Some((module, line)) = named.or(pages.first().filter(|_| pages.len() == 1)) else { return Ok(None) };
        if !self.facts.has("streamlit") {
            return Err(missing("streamlit", "Streamlit page").at(self.span(module, *line)));
        }
        let port = self.facts.port().to_string();
        let words = ["-m", "streamlit", "run", module.path, "--server.address", "0.0.0.0", "--server.port", &port];
        let words = words.into_iter().chain(["--server.headless", "true"]).map(str::to_owned);
        let certainty = if pages.len() == 1 { Certainty::High } else { Certainty::Medium };
        let command = std::iter::once(program()).chain(words).collect();
        let mut found = entry(Kind::Streamlit, command, "Streamlit page", certainty);
        found.at = Some(self.span(module, *line));
        found.health_path = Some("/_stcore/health".into());
        Ok(Some(found))
    }

    fn gradio_demo(&self) -> Result<Option<Entry>, Failure> {
        let demos: Vec<_> = self.modules.iter().filter_map(|module| Some((module, gradio(module)?))).collect();
        let at_root: Vec<_> = demos.iter().filter(|(module, _)| module.depth() == 0).collect();
        let named = ["app.py", "main.py", "demo.py"]
            .iter()
            .find_map(|name| at_root.iter().find(|(module, _)| module.path == *name));
        let Some((module, line)) = named.or(at_root.first()).copied().or(demos.first().filter(|_| demos.len() == 1))
        else {
            return Ok(None);
        };
        let certainty = if demos.len() == 1 { Certainty::High } else { Certainty::Medium };
        let mut found = entry(Kind::Gradio, vec![program(), module.path.to_owned()], "Gradio demo", certainty);
        found.env = vec![
            ("GRADIO_SERVER_NAME".into(), "0.0.0.0".into()),
            ("GRADIO_SERVER_PORT".into(), self.facts.port().to_string()),
        ];
        found.at = Some(self.span(module, *line));
        Ok(Some(found))
    }

    fn uvicorn_run(&self) -> Result<Option<Entry>, Failure> {
        for module in self.modules {
            for line in &module.lines {
                let target =
                    ["uvicorn.run(app=", "uvicorn.run("].iter().find_map(|call| string_behind(&line.code, call));
                let Some((dotted, object)) = target.and_then(|target| target.split_once(':')) else { continue };
                let target = command::Target {
                    module: dotted,
                    object,
                    root: "",
                    interface: objects::Interface::Asgi,
                    factory: line.code.contains("factory=True"),
                };
                let at = self.span(module, line.number);
                let server = Server::pick(self.facts, &target, "uvicorn").map_err(|failure| failure.at(at.clone()))?;
                let mut found = entry(Kind::Web, server.command, "uvicorn.run(…)", Certainty::Medium);
                found.at = Some(at);
                found.health_path = self.any_health_path();
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn package_main(&self) -> Option<Entry> {
        let mains: Vec<_> = self.modules.iter().filter(|module| module.file_name() == "__main__.py").collect();
        let module = mains.first().filter(|_| mains.len() == 1)?;
        let (root, dotted) = self.root_of(module);
        let package = dotted.strip_suffix(".__main__")?;
        let command = vec![program(), "-m".into(), package.to_owned()];
        let mut found = entry(Kind::Script, command, format!("package '{package}' can be run"), Certainty::Medium);
        found.at = Some(self.span(module, 1));
        found.web = is_web(module);
        found.python_path = root;
        Some(found)
    }

    fn script(&self) -> Option<Entry> {
        const NAMES: [&str; 6] = ["main.py", "app.py", "server.py", "run.py", "start.py", "bot.py"];
        let named = NAMES.iter().find_map(|name| self.module(name));
        let guarded: Vec<_> =
            self.modules.iter().filter(|module| module.depth() == 0 && module.main_guard().is_some()).collect();
        let module = named.or_else(|| guarded.first().copied().filter(|_| guarded.len() == 1))?;
        let rule = if module.main_guard().is_some() { "script with a main guard" } else { "script by its name" };
        let mut found = entry(Kind::Script, vec![program(), module.path.to_owned()], rule, Certainty::Low);
        found.at = Some(self.span(module, module.main_guard().map_or(1, |line| line.number)));
        found.web = is_web(module);
        found.health_path = self.any_health_path().filter(|_| found.web);
        Some(found)
    }

    fn nothing(&self) -> Failure {
        let seen = match self.modules.len() {
            0 => "no Python file was found".to_owned(),
            count => format!("{count} Python files were read"),
        };
        let failure = Failure::input(format!(
            "cannot find how the project is started: {seen}; no web application, no console script, no main.py"
        ));
        failure.hint("write it down: run = [\"python\", \"serve.py\"] in corten.toml or [tool.corten]")
    }

    /// The folder below which a module's own imports work, and the module's dotted name from there.
    fn root_of(&self, module: &Module<'_>) -> (String, String) {
        let folders: Vec<&str> = module.path.split('/').rev().skip(1).collect();
        let roots: Vec<String> = (0..=folders.len())
            .map(|above| folders.iter().rev().take(above).copied().collect::<Vec<_>>().join("/"))
            .collect();
        let exists = |root: &str, package: &str| {
            let below = if root.is_empty() { package.to_owned() } else { format!("{root}/{package}") };
            self.modules
                .iter()
                .any(|other| other.path == format!("{below}.py") || other.path.starts_with(&format!("{below}/")))
        };
        let tops: Vec<&str> = module
            .imports
            .values()
            .filter(|name| !name.starts_with('.'))
            .filter_map(|name| name.split('.').next())
            .collect();
        let own: Vec<&str> = tops.into_iter().filter(|top| roots.iter().any(|root| exists(root, top))).collect();
        let by_imports = roots.iter().find(|root| !own.is_empty() && own.iter().all(|top| exists(root, top)));
        let is_package = |folder: &str| self.modules.iter().any(|other| other.path == format!("{folder}/__init__.py"));
        let by_packages = roots.iter().rev().find(|root| root.is_empty() || !is_package(root));
        let root = by_imports.or(by_packages).cloned().unwrap_or_default();
        let dotted = dotted_below(module.path, &root);
        (root, dotted)
    }

    fn any_health_path(&self) -> Option<String> {
        let of_objects = self.objects.iter().filter_map(|object| Some((self.modules.get(object.module)?, object)));
        of_objects.into_iter().find_map(|(module, object)| health_path(module, Some(&object.name)))
    }
}

fn missing(distribution: &str, what: &str) -> Failure {
    Failure::input(format!("found a {what}, but {distribution} is not in the lock"))
        .hint(format!("add {distribution} to the project's dependencies and lock again"))
}

fn same_name(a: &str, b: &str) -> bool {
    let plain = |name: &str| name.to_lowercase().replace(['_', '.'], "-");
    plain(a) == plain(b)
}

fn one_by_name<'o>(objects: &[&'o Object]) -> Option<&'o Object> {
    match objects {
        [one] => Some(one),
        [first, rest @ ..] if rest.iter().all(|object| object.module == first.module) => ["app", "api", "application"]
            .iter()
            .find_map(|name| objects.iter().find(|object| object.name == *name))
            .copied(),
        _ => None,
    }
}

fn dotted_below(path: &str, root: &str) -> String {
    let below = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/');
    let dotted = below.trim_end_matches(".py").replace('/', ".");
    dotted.strip_suffix(".__init__").map(str::to_owned).unwrap_or(dotted)
}

/// A path for health that the object itself answers: `@app.get("/health")`.
fn health_path(module: &Module<'_>, object: Option<&str>) -> Option<String> {
    const PATHS: [&str; 8] =
        ["/health", "/healthz", "/livez", "/live", "/health/live", "/api/health", "/ping", "/status"];
    let routes: Vec<&str> = module
        .lines
        .iter()
        .filter_map(|line| {
            let route = line.code.strip_prefix('@')?;
            let (target, method) = route.split_once('(')?.0.rsplit_once('.')?;
            let asked = matches!(method, "get" | "route" | "api_route") && object.is_none_or(|name| name == target);
            string_behind(route, "(").filter(|_| asked)
        })
        .collect();
    PATHS.iter().find(|path| routes.contains(path)).map(|path| (*path).to_owned())
}

#[cfg(test)]
mod tests;
