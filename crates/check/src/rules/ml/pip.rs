//! What pip and uv are told to install: `pip install`, `python -m pip install`, `uv pip install`, wherever a RUN starts them.

use corten_plan::recipe::{Mount, MountKind};

use crate::lint::{Definition, Lint, Step};
use crate::shell::{Call, Word};

/// One call.
#[derive(Debug)]
pub struct Install<'l> {
    /// The RUN.
    pub step: &'l Step<'l>,
    /// The whole call.
    pub call: Call<'l>,
    /// uv's.
    pub is_uv: bool,
    /// What is named.
    pub packages: Vec<Package<'l>>,
    options: Vec<Given<'l>>,
}

/// An option, its name long and without dashes.
#[derive(Debug)]
struct Given<'l> {
    name: String,
    value: Option<String>,
    word: &'l Word,
}

/// What an operand names.
#[derive(Debug)]
pub struct Package<'l> {
    /// As PEP 503 has it; empty for a path, an address or what only a variable knows.
    pub name: String,
    /// Behind the name and its extras: `==2.4.1`, `>=1`; empty where there is none.
    pub version: String,
    /// As it is written.
    pub text: String,
    pub kind: Kind,
    pub word: &'l Word,
}

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A name, perhaps with extras and versions.
    Named,
    /// A folder or file.
    Path,
    /// An address, also of a repository.
    Address,
    /// It is decided when it runs.
    Dynamic,
}

/// Options of pip and uv that take a value, with the letter for each.
const WITH_VALUES: [(&str, &str); 34] = [
    ("requirement", "r"),
    ("requirements", "r"),
    ("constraint", "c"),
    ("editable", "e"),
    ("index-url", "i"),
    ("extra-index-url", ""),
    ("find-links", "f"),
    ("target", "t"),
    ("prefix", ""),
    ("root", ""),
    ("src", ""),
    ("platform", ""),
    ("python-version", ""),
    ("implementation", ""),
    ("abi", ""),
    ("upgrade-strategy", ""),
    ("no-binary", ""),
    ("only-binary", ""),
    ("progress-bar", ""),
    ("cache-dir", ""),
    ("trusted-host", ""),
    ("timeout", ""),
    ("retries", ""),
    ("proxy", ""),
    ("cert", ""),
    ("log", ""),
    ("config-settings", "C"),
    ("global-option", ""),
    ("use-feature", ""),
    ("report", ""),
    ("python", "p"),
    ("index-strategy", ""),
    ("index", ""),
    ("torch-backend", ""),
];

/// All calls of all RUN.
pub fn installs<'l>(lint: &'l Lint<'_>) -> Vec<Install<'l>> {
    lint.calls().filter_map(|(step, call)| install(step, call)).collect()
}

fn install<'l>(step: &'l Step<'l>, call: Call<'l>) -> Option<Install<'l>> {
    let (is_uv, arguments) = arguments(&call)?;
    let (operands, options) = sorted(arguments);
    let (verb, operands) = operands.split_first()?;
    if !verb.is("install") {
        return None;
    }
    let packages = operands.iter().map(|word| package(word)).collect();
    Some(Install { step, is_uv, packages, options, call })
}

/// What stands behind `pip`.
fn arguments<'l>(call: &Call<'l>) -> Option<(bool, &'l [Word])> {
    let all = call.arguments();
    let is_pip = |name: &str| {
        name.strip_prefix("pip").is_some_and(|rest| rest.chars().all(|letter| letter.is_ascii_digit() || letter == '.'))
    };
    if is_pip(&call.name) {
        return Some((false, all));
    }
    let is_python = call.name.strip_prefix("python").or(call.name.strip_prefix("pypy"));
    if is_python.is_some_and(|rest| rest.chars().all(|letter| letter.is_ascii_digit() || letter == '.')) {
        let at = all.iter().position(|word| word.is("-m"))?;
        let module = all.get(at + 1)?;
        return module.is("pip").then(|| (false, all.get(at + 2..).unwrap_or_default()));
    }
    if call.is("uv") {
        let at = all.iter().position(|word| word.is("pip"))?;
        return Some((true, all.get(at + 1..).unwrap_or_default()));
    }
    None
}

/// Operands, and options with their values.
fn sorted(arguments: &[Word]) -> (Vec<&Word>, Vec<Given<'_>>) {
    let (mut operands, mut options) = (Vec::new(), Vec::new());
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let start = word.known_start();
        if start.len() < 2 || !start.starts_with('-') {
            operands.push(word);
            continue;
        }
        let shown = word.shown();
        let (name, value) = match shown.strip_prefix("--") {
            Some(long) => match long.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (long.to_owned(), None),
            },
            None => short(shown.get(1..).unwrap_or_default()),
        };
        let takes = WITH_VALUES.iter().any(|(known, _)| *known == name);
        let value = match (value, takes) {
            (None, true) => words.next().map(|word| word.shown().into_owned()),
            (value, _) => value,
        };
        options.push(Given { name, value, word });
    }
    (operands, options)
}

/// `r`, `rrequirements.txt`; letters without values stay as they are: `qU`.
fn short(text: &str) -> (String, Option<String>) {
    let mut letters = text.chars();
    let first = letters.next().map(String::from).unwrap_or_default();
    match WITH_VALUES.iter().find(|(_, letter)| !letter.is_empty() && *letter == first) {
        Some((long, _)) => (long.to_string(), Some(letters.as_str().to_owned()).filter(|rest| !rest.is_empty())),
        None => (text.to_owned(), None),
    }
}

fn package(word: &Word) -> Package<'_> {
    let text = word.shown().into_owned();
    let start = word.known_start();
    let bare = start.split([';', ' ']).next().unwrap_or_default();
    let end = bare.find(|letter: char| !(letter.is_ascii_alphanumeric() || "-_.".contains(letter)));
    let (name, rest) = bare.split_at(end.unwrap_or(bare.len()));
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(extras) => extras.split_once(']').map_or("", |(_, rest)| rest),
        None => rest,
    };
    let is_file = [".whl", ".tar.gz", ".zip"].iter().any(|end| text.ends_with(end));
    let is_address = text.contains("://") || text.starts_with("git+");
    let is_path =
        text.starts_with('.') || text.starts_with('/') || text.starts_with('~') || text.contains('/') || is_file;
    let kind = match () {
        () if is_address => Kind::Address,
        () if name.is_empty() && word.is_dynamic() => Kind::Dynamic,
        () if is_path => Kind::Path,
        () if name.is_empty() => Kind::Dynamic,
        () => Kind::Named,
    };
    // `torch==$VERSION` has a version; `$PACKAGES` is anything.
    let cut = word.is_dynamic() && rest.is_empty() && start.len() < text.len();
    let kind = if cut && kind == Kind::Named { Kind::Dynamic } else { kind };
    let version = if kind == Kind::Named { rest.trim_start_matches('@').trim().to_owned() } else { String::new() };
    let name = if kind == Kind::Named { normal(name) } else { String::new() };
    Package { name, version, text, kind, word }
}

/// PEP 503.
pub fn normal(name: &str) -> String {
    let mut normal = String::new();
    for letter in name.chars() {
        match letter {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            letter => normal.push(letter.to_ascii_lowercase()),
        }
    }
    normal
}

impl<'l> Install<'l> {
    /// Is an option given?
    pub fn has(&self, name: &str) -> bool {
        self.options.iter().any(|option| option.name == name)
    }

    /// Where an option without a value stands.
    pub fn word_of(&self, name: &str) -> Option<&'l Word> {
        self.options.iter().find(|option| option.name == name && option.value.is_none()).map(|option| option.word)
    }

    /// The values of an option, each with its word.
    pub fn values(&self, name: &str) -> impl Iterator<Item = (&str, &'l Word)> {
        let own = self.options.iter().filter(move |option| option.name == name);
        own.filter_map(|option| Some((option.value.as_deref()?, option.word)))
    }

    /// Requirements files.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.values("requirement").chain(self.values("requirements")).map(|(value, _)| value)
    }

    /// Does it install the project itself, or wheels that are there?
    pub fn installs_paths(&self) -> bool {
        self.packages.iter().any(|package| package.kind == Kind::Path) || self.has("editable")
    }

    /// A package of this name.
    pub fn package(&self, name: &str) -> Option<&Package<'l>> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// The addresses that it takes packages from: options, else what ENV says.
    pub fn indexes(&self, lint: &Lint<'_>) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for name in ["index-url", "extra-index-url", "index", "find-links", "torch-backend"] {
            all.extend(self.values(name).map(|(value, _)| value.to_owned()));
        }
        for name in ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_TORCH_BACKEND"] {
            all.extend(lint.definition(self.step, name).and_then(|definition| definition.value.clone()));
        }
        all
    }
}

/// What a RUN mounts; what cannot be read is left out.
pub fn mounts(step: &Step<'_>) -> Vec<Mount> {
    let Some(corten_frontend::dockerfile::Command::Run(run)) = step.meant() else { return Vec::new() };
    let read = |word: &corten_frontend::dockerfile::Word| {
        corten_frontend::dockerfile::read_mount(&word.text, &|value| Ok(value.to_owned())).ok()
    };
    run.mounts.iter().filter_map(read).collect()
}

/// Does it mount a cache on a folder whose path has one of these parts?
pub fn has_cache(step: &Step<'_>, parts: &[&str]) -> bool {
    let is_it = |mount: &Mount| {
        let target = mount.target.as_deref().unwrap_or_default();
        mount.kind == MountKind::Cache && parts.iter().any(|part| target.contains(part))
    };
    mounts(step).iter().any(is_it)
}

/// Is a variable set to something that is not "no"?
pub fn is_set(definition: Option<&Definition>) -> bool {
    let off = ["", "0", "false", "no", "off", "n", "f"];
    let value = definition.and_then(|definition| definition.value.as_deref());
    // Without a known value it may be anything: it is there for a reason.
    definition.is_some() && !value.is_some_and(|value| off.contains(&value.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(run: &str, ask: impl Fn(&Install<'_>) -> T) -> Option<T> {
        crate::rules::ml::tests::linted(&format!("FROM python:3.12\nRUN {run}\n"), |lint| {
            installs(lint).first().map(&ask)
        })
    }

    #[test]
    fn all_ways_to_call_pip_are_one() {
        for run in [
            "pip install flask",
            "pip3.11 --no-cache-dir install flask",
            "python -m pip install -q flask",
            "/opt/venv/bin/python3 -u -m pip install flask",
            "uv pip install --system flask",
            "apt-get update && sudo -H pip install flask",
            "sh -c 'pip install flask'",
        ] {
            let names = with(run, |install| install.packages.iter().map(|one| one.name.clone()).collect::<Vec<_>>());
            assert_eq!(names, Some(vec!["flask".to_owned()]), "{run}");
        }
        for run in
            ["pip wheel flask", "pip uninstall flask", "pipenv install flask", "python -m venv pip install", "uv sync"]
        {
            assert_eq!(with(run, |_| ()), None, "{run}");
        }
    }

    #[test]
    fn operands_are_packages_paths_or_addresses() {
        let run = "pip install -r a.txt -cb.txt --index-url https://x/simple Torch_Vision==0.2 'a[b,c]>=1,<2' . ./x/y.whl \
                   git+https://x/y.git https://x/z.whl $PACKAGES torch==$VERSION /wheels/* lib-$X 'z; python_version>\"3\"'";
        let found = with(run, |install| {
            assert_eq!(install.files().collect::<Vec<_>>(), ["a.txt"]);
            assert_eq!(install.values("constraint").map(|(value, _)| value).collect::<Vec<_>>(), ["b.txt"]);
            install.packages.iter().map(|one| (one.name.clone(), one.version.clone(), one.kind)).collect::<Vec<_>>()
        });
        let of = |name: &str, version: &str, kind| (name.to_owned(), version.to_owned(), kind);
        assert_eq!(
            found.unwrap(),
            [
                of("torch-vision", "==0.2", Kind::Named),
                of("a", ">=1,<2", Kind::Named),
                of("", "", Kind::Path),
                of("", "", Kind::Path),
                of("", "", Kind::Address),
                of("", "", Kind::Address),
                of("", "", Kind::Dynamic),
                of("torch", "==", Kind::Named),
                of("", "", Kind::Path),
                of("", "", Kind::Dynamic),
                of("z", "", Kind::Named),
            ]
        );
    }
}
