//! What a project makes that can be served: objects of web frameworks at the top of a module, functions that make
//! one, pages of Streamlit, demos of Gradio.

use super::source::{Line, Module, assigned_call, calls, is_name};

/// How an object is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interface {
    Asgi,
    Wsgi,
}

/// Something to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    /// Place of its module.
    pub module: usize,
    pub line: usize,
    /// `app`, or `create_app` for a factory.
    pub name: String,
    /// What of the object is served: `.server` for Dash.
    pub attribute: &'static str,
    pub framework: &'static str,
    pub interface: Interface,
    pub factory: bool,
}

struct Framework {
    name: &'static str,
    package: &'static str,
    class: &'static str,
    interface: Interface,
    attribute: &'static str,
}

const fn framework(name: &'static str, package: &'static str, interface: Interface) -> Framework {
    Framework { name, package, class: name, interface, attribute: "" }
}

const FRAMEWORKS: [Framework; 9] = [
    framework("FastAPI", "fastapi", Interface::Asgi),
    framework("Starlette", "starlette", Interface::Asgi),
    framework("Litestar", "litestar", Interface::Asgi),
    framework("Quart", "quart", Interface::Asgi),
    framework("Sanic", "sanic", Interface::Asgi),
    framework("Flask", "flask", Interface::Wsgi),
    framework("Bottle", "bottle", Interface::Wsgi),
    framework("APIFlask", "apiflask", Interface::Wsgi),
    Framework { name: "Dash", package: "dash", class: "Dash", interface: Interface::Wsgi, attribute: ".server" },
];

/// The framework whose object a call of this (resolved) name makes.
fn made_by(name: &str) -> Option<&'static Framework> {
    FRAMEWORKS.iter().find(|framework| {
        name.strip_prefix(framework.package).is_some_and(|rest| {
            rest.strip_prefix('.').is_some_and(|rest| rest.rsplit('.').next() == Some(framework.class))
        })
    })
}

/// Does it use a web framework or server at all?
pub(super) fn is_web(module: &Module<'_>) -> bool {
    let servers =
        ["uvicorn", "gunicorn", "hypercorn", "waitress", "aiohttp.web", "streamlit", "gradio", "bentoml", "litserve"];
    let frameworks = FRAMEWORKS.iter().map(|framework| framework.package);
    frameworks.chain(servers).any(|package| module.imports_package(package))
}

/// All objects of all modules; factories only as such.
pub(super) fn objects(modules: &[Module<'_>]) -> Vec<Object> {
    let factories: Vec<Object> = modules.iter().enumerate().flat_map(|(at, module)| factories_of(at, module)).collect();
    let mut found = Vec::new();
    for (at, module) in modules.iter().enumerate() {
        found.extend(module.top().filter_map(|line| object_of(at, module, line, &factories, modules)));
    }
    // A name that is assigned twice is one object.
    found.dedup_by(|later, earlier| later.module == earlier.module && later.name == earlier.name);
    if found.is_empty() {
        found = factories.into_iter().filter(|factory| !is_private(&factory.name)).collect();
    }
    found
}

fn is_private(name: &str) -> bool {
    name.starts_with('_')
}

fn object_of(
    at: usize,
    module: &Module<'_>,
    line: &Line,
    factories: &[Object],
    modules: &[Module<'_>],
) -> Option<Object> {
    let (name, callee) = assigned_call(&line.code)?;
    let resolved = module.resolve(callee);
    let object = |framework: &'static str, interface, attribute| Object {
        module: at,
        line: line.number,
        name: name.to_owned(),
        attribute,
        framework,
        interface,
        factory: false,
    };
    if let Some(framework) = made_by(&resolved) {
        return Some(object(framework.name, framework.interface, framework.attribute));
    }
    let factory = factories.iter().find(|factory| {
        (factory.module == at && factory.name == callee) || names(&resolved, &factory.name, modules.get(factory.module))
    })?;
    Some(object(factory.framework, factory.interface, factory.attribute))
}

/// Is `resolved` the function `name` of the module? Relative imports have leading dots.
fn names(resolved: &str, name: &str, module: Option<&Module<'_>>) -> bool {
    let Some((from, function)) = resolved.rsplit_once('.') else { return false };
    let Some(module) = module.filter(|_| function == name) else { return false };
    let dotted = module.path.trim_end_matches(".py").trim_end_matches("/__init__").replace('/', ".");
    let from = from.trim_start_matches('.');
    from.is_empty() || dotted == from || dotted.ends_with(&format!(".{from}"))
}

fn factories_of<'m>(at: usize, module: &'m Module<'_>) -> impl Iterator<Item = Object> + 'm {
    module.top().filter_map(move |line| {
        let head = line.code.strip_prefix("async ").unwrap_or(&line.code).strip_prefix("def ")?;
        let (name, parameters) = head.split_once('(')?;
        let framework = module
            .block(line)
            .flat_map(|inside| calls(&inside.code))
            .find_map(|callee| made_by(&module.resolve(callee)))?;
        let returns = module.block(line).any(|inside| inside.code.starts_with("return "));
        (is_name(name) && returns && can_be_called_empty(parameters)).then(|| Object {
            module: at,
            line: line.number,
            name: name.to_owned(),
            attribute: framework.attribute,
            framework: framework.name,
            interface: framework.interface,
            factory: true,
        })
    })
}

/// Has every parameter a default?
fn can_be_called_empty(parameters: &str) -> bool {
    let inside = parameters.rsplit_once(')').map_or(parameters, |(inside, _)| inside);
    let mut depth = 0usize;
    let mut parameter = String::new();
    let mut all = Vec::new();
    for letter in inside.chars() {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if letter == ',' && depth == 0 { all.push(std::mem::take(&mut parameter)) } else { parameter.push(letter) }
    }
    all.push(parameter);
    all.iter().map(|parameter| parameter.trim()).all(|parameter| {
        parameter.is_empty() || parameter.starts_with('*') || parameter == "/" || parameter.contains('=')
    })
}

/// The line at which a page of Streamlit writes something.
pub(super) fn streamlit(module: &Module<'_>) -> Option<usize> {
    let in_pages = module.path.split('/').rev().skip(1).any(|folder| folder == "pages");
    if in_pages || !module.imports_package("streamlit") {
        return None;
    }
    let writes = |line: &&Line| calls(&line.code).any(|callee| module.resolve(callee).starts_with("streamlit."));
    let page = |line: &&Line| calls(&line.code).any(|callee| module.resolve(callee) == "streamlit.set_page_config");
    module.top().find(writes).or_else(|| module.lines.iter().find(page)).map(|line| line.number)
}

/// The line at which a demo of Gradio is launched.
pub(super) fn gradio(module: &Module<'_>) -> Option<usize> {
    let makes = |name: &str| {
        matches!(name, "gradio.Blocks" | "gradio.Interface" | "gradio.ChatInterface" | "gradio.TabbedInterface")
    };
    let made = module.lines.iter().any(|line| calls(&line.code).any(|callee| makes(&module.resolve(callee))));
    let launched = module.lines.iter().find(|line| line.code.contains(".launch("));
    launched.filter(|_| made && module.imports_package("gradio")).map(|line| line.number)
}
