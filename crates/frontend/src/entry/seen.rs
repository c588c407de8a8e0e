//! Rules that follow what the source makes: objects of web frameworks, pages, demos.

use corten_diagnostic::Failure;

use super::command::{Server, Target, program};
use super::objects::{Interface, Object, gradio, streamlit};
use super::source::{assigned_call, string_behind};
use super::{Certainty, Entry, Kind, Search, dotted_below, entry, health_path, missing};

impl Search<'_> {
    pub fn django(&self) -> Result<Option<Entry>, Failure> {
        let manage = self
            .modules
            .iter()
            .filter(|module| module.file_name() == "manage.py" && module.text.contains("execute_from_command_line"));
        let Some(manage) = manage.min_by_key(|module| module.depth()) else { return Ok(None) };
        let root = manage.path.strip_suffix("manage.py").unwrap_or_default().trim_end_matches('/').to_owned();
        let makes = |function: &str| {
            let found = self.modules.iter().find_map(|module| {
                let line = module.top().find(|line| {
                    assigned_call(&line.code)
                        .is_some_and(|(name, callee)| name == "application" && callee.ends_with(function))
                })?;
                Some((module, line.number))
            });
            found.map(|(module, line)| (self.span(module, line), dotted_below(module.path, &root)))
        };
        let wsgi = makes("get_wsgi_application").filter(|_| self.facts.has("gunicorn"));
        let asgi = makes("get_asgi_application").filter(|_| self.facts.has("uvicorn"));
        let found = wsgi.map(|found| (found, Interface::Wsgi)).or(asgi.map(|found| (found, Interface::Asgi)));
        if let Some(((at, module), interface)) = found {
            let target = Target { module: &module, object: "application", root: &root, interface, factory: false };
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

    pub fn web_object(&self) -> Result<Option<Entry>, Failure> {
        let Some(first) = self.objects.first() else { return Ok(None) };
        if self.facts.has("streamlit") && self.modules.iter().any(|module| streamlit(module).is_some()) {
            return Err(self.several());
        }
        let (object, certainty) = match self.objects.len() {
            1 => (first, None),
            _ => self.best_object()?,
        };
        let Some(module) = self.modules.get(object.module) else { return Ok(None) };
        let at = self.span(module, object.line);
        let (root, dotted) = self.root_of(module);
        let name = format!("{}{}", object.name, object.attribute);
        let target = Target {
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
        let pages = self
            .modules
            .iter()
            .filter_map(|module| Some(format!("Streamlit page in {}:{}", module.path, streamlit(module)?)));
        let seen: Vec<_> = shown.chain(pages).take(6).collect();
        Failure::input(format!("the project can be started in several ways: {}", seen.join(", ")))
            .hint("write the command of this service as 'run' in corten.toml or [tool.corten]")
    }

    pub fn streamlit_page(&self) -> Result<Option<Entry>, Failure> {
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

    pub fn gradio_demo(&self) -> Result<Option<Entry>, Failure> {
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

    pub fn uvicorn_run(&self) -> Result<Option<Entry>, Failure> {
        for module in self.modules {
            for line in &module.lines {
                let target =
                    ["uvicorn.run(app=", "uvicorn.run("].iter().find_map(|call| string_behind(&line.code, call));
                let Some((dotted, object)) = target.and_then(|target| target.split_once(':')) else { continue };
                let target = Target {
                    module: dotted,
                    object,
                    root: "",
                    interface: Interface::Asgi,
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
