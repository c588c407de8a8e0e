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
mod seen;
mod source;
mod written;

use corten_diagnostic::{Failure, Span};

use crate::settings::{Port, Settings};
use command::program;
use objects::{Object, is_web, objects};
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

impl Certainty {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "a guess",
            Self::Medium => "likely",
            Self::High => "sure",
            Self::Certain => "certain",
        }
    }
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
    pub sources: &'a [(String, String)],
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
