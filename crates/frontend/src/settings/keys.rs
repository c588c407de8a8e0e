//! Every setting: its name, what may stand there, what it means, what holds where it is absent.
//!
//! The reader of settings knows no other key ([`super::table::Table`] refuses what does not stand here and leaves nothing
//! unread that does); the JSON Schema for editors and `--explain-settings` are printed from the same rows.

/// One setting, or a table of them.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// One line, without a full stop.
    pub about: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// What holds otherwise.
    pub otherwise: Otherwise,
}

/// What holds where a setting is absent.
#[derive(Debug)]
pub enum Otherwise {
    /// This value, as TOML.
    Value(&'static str),
    /// Something that is found out, in these words.
    Found(&'static str),
    /// Nothing.
    Nothing,
}

/// What may stand for a setting. Patterns are regular expressions (ECMA 262): they let through what the reader
/// takes, and need not refuse all that it refuses.
#[derive(Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// Text of this form.
    Form(&'static str),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// True or false.
    Boolean,
    /// False, and not true.
    False,
    /// A whole number from the one to the other.
    Whole(i64, i64),
    /// Text, a number, true or false: all are taken as text.
    Scalar,
    /// An array.
    List(&'static Kind),
    /// An array with at least one element.
    Some(&'static Kind),
    /// A table of settings, with those that have to be there.
    Table(&'static [Key], &'static [&'static str]),
    /// A table whose keys the user names: their form, and what stands there.
    Named(&'static str, &'static Kind),
    /// The first of these that fits.
    Either(&'static [Kind]),
}

impl Kind {
    /// The settings of a table, if this may be one.
    pub fn keys(&self) -> &'static [Key] {
        match self {
            Self::Table(keys, _) => keys,
            Self::Either(kinds) => kinds.iter().map(Self::keys).find(|keys| !keys.is_empty()).unwrap_or_default(),
            _ => &[],
        }
    }

    /// What stands in an array, or behind the names of a table.
    pub fn inner(&self) -> &'static Kind {
        match self {
            Self::List(kind) | Self::Some(kind) | Self::Named(_, kind) => kind,
            Self::Either(kinds) => {
                kinds.iter().map(Self::inner).find(|kind| !matches!(kind, Self::Scalar)).unwrap_or(&Self::Scalar)
            }
            _ => &Self::Scalar,
        }
    }
}

pub(super) const fn key(name: &'static str, kind: Kind, otherwise: Otherwise, about: &'static str) -> Key {
    Key { name, about, kind, otherwise }
}

use Kind::{Boolean, Either, False, Form, List, Named, OneOf, Scalar, Table, Text, Whole};
use Otherwise::{Found, Nothing, Value};

const BASE_IMAGE: Kind =
    Form("^debian:[a-z]+$|^(oci-layout|oci-archive|docker-archive|store):.+$|^(docker://)?[^/ ]+[:@/].+$");

const COMMAND: Kind = Either(&[Form(r"\S"), Kind::Some(&Text)]);
const DEBIAN_PACKAGES: Kind = List(&Form("^[a-z0-9][a-z0-9+.-]+$"));
const INSIDE: &str = r"^[^/]";
const IN_IMAGE: &str = "^/";
const URL: Kind = Form(r"^https?://[^/\s@]+(/\S*)?$");
const DURATION: Kind = Either(&[Form(r"^\s*([0-9]+(ms|s|m|h))+\s*$"), Whole(0, 65_535)]);
const RULE: &str = "^ML[0-9]{3}$";

/// The settings of corten.toml, and of `[tool.corten]`.
pub static SETTINGS: [Key; 36] = [
    key("name", Form("^[a-z0-9][a-z0-9._/-]*$"), Found("[project] name, else the folder's name"), "Name of the image"),
    key(
        "version",
        Form("^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}$"),
        Found("[project] version"),
        "Version that the tags have",
    ),
    key(
        "base",
        Either(&[BASE_IMAGE, Table(&BASE, &[])]),
        Found("the one whose Python fits the project and its lock"),
        "What the image stands on: debian:bookworm (Python 3.11), debian:trixie (3.13) or an image: of a registry (python:3.12-slim), oci-layout:FOLDER[:TAG], docker-archive:FILE[:NAME], store:NAME",
    ),
    key(
        "variant",
        OneOf(&["distroless", "slim"]),
        Value("\"distroless\""),
        "How much of Debian is in the image; slim has a shell and a package manager",
    ),
    key(
        "frontend",
        OneOf(&["native", "dockerfile"]),
        Found("native where a native setting or no Dockerfile is there"),
        "Which way to build: from the lock, or from the Dockerfile",
    ),
    key("python", Form(r"^[0-9]+\.[0-9]+$"), Found(".python-version, else the base's"), "Minor version of Python"),
    key(
        "interpreter",
        Table(&INTERPRETER, &["url", "sha256"]),
        Nothing,
        "Interpreter in place of Debian's Python: an install_only archive of python-build-standalone",
    ),
    key("lock", Form(INSIDE), Found("the one lock of the project"), "Which lock, where a project has several"),
    key("package", Text, Found("the workspace's root"), "Member of the workspace to install"),
    key("groups", List(&Text), Value("[]"), "Dependency groups besides the project's default ones"),
    key("extras", List(&Text), Value("[]"), "Extras of the project"),
    key("packages", DEBIAN_PACKAGES, Value("[]"), "Debian packages beside those of the base"),
    key(
        "allow-unconfigured",
        DEBIAN_PACKAGES,
        Value("[]"),
        "Debian packages for which what their maintainer scripts would do may stay undone",
    ),
    key(
        "build-packages",
        DEBIAN_PACKAGES,
        Value("[]"),
        "Debian packages for building source distributions; not in the image",
    ),
    key("run", COMMAND, Found("what the sources show"), "Command of the service: words, without a shell"),
    key("entrypoint", COMMAND, Nothing, "Program that is put before the command"),
    key("workdir", Form(IN_IMAGE), Value("\"/app\""), "Where the project's files lie and the service starts"),
    key(
        "user",
        Form("^[a-z_][a-z0-9_-]{0,31}$"),
        Value("\"app\""),
        "Name of the service's user; its number is always 10001",
    ),
    key(
        "port",
        Either(&[Whole(1, 65_535), False]),
        Found("8000 for a web service, none for a job"),
        "Port that the service listens on; false for a job",
    ),
    key(
        "healthcheck",
        Either(&[Boolean, Table(&HEALTHCHECK, &[])]),
        Found("the service's health path, else a connection to its port"),
        "How health is found out; false for not at all",
    ),
    key("env", Named("^[A-Za-z_][A-Za-z0-9_]*$", &Scalar), Nothing, "Variables of the service's environment"),
    key("labels", Named("", &Scalar), Nothing, "Labels of the image"),
    key(
        "compression",
        OneOf(&["splice", "gzip", "zstd"]),
        Value("\"splice\""),
        "Of layers: splice (gzip, fast), gzip (made anew) or zstd (smaller)",
    ),
    key("estargz", Boolean, Value("false"), "Can every gzip layer be pulled lazily, file by file?"),
    key("weights-compression", OneOf(&["none", "zstd"]), Value("\"none\""), "Compression of the layer of weights"),
    key(
        "bytecode",
        OneOf(&["all", "app", "none"]),
        Value("\"none\""),
        "What is compiled when the image is built: packages and application, the project's own, or nothing",
    ),
    key(
        "weights",
        List(&Either(&[Text, Table(&WEIGHT, &["url", "to"])])),
        Value("[]"),
        "Patterns of model files, and model files to fetch: a layer of their own",
    ),
    key(
        "extra-files",
        List(&Table(&EXTRA_FILE, &["from", "to"])),
        Value("[]"),
        "Files of the project that are put elsewhere in the image",
    ),
    key("ignore", Table(&IGNORE, &[]), Nothing, "What stays out of the image, besides .dockerignore"),
    key("check", Table(&CHECK, &[]), Nothing, "What the checks take offence at"),
    key("gpu", Table(&GPU, &[]), Nothing, "On what the image is to run; --driver and --gpu win"),
    key("lint", Table(&LINT, &[]), Nothing, "Which rules `corten lint` asks, and how much each matters"),
    key("archive", Table(&ARCHIVE, &[]), Nothing, "Where Debian's packages come from"),
    key("index", Table(&INDEX, &[]), Nothing, "Where wheels come from"),
    key("publish", Table(&PUBLISH, &[]), Nothing, "Where the image is published"),
    key("test", Table(&TEST, &[]), Nothing, "What `corten test` runs in the image, and with what beside it"),
];

static HEALTHCHECK: [Key; 6] = [
    key("path", Form(r#"^/[!#-&(-\[\]-~]*$"#), Nothing, "Path that the service answers with a status below 400"),
    key("command", COMMAND, Nothing, "Program that ends with status 0, instead of a path"),
    key("interval", DURATION, Value("\"30s\""), "Time between two checks"),
    key("timeout", DURATION, Value("\"5s\""), "How long one check may take"),
    key("start-period", DURATION, Value("\"60s\""), "How long failures at the start do not count"),
    key("retries", Whole(0, 255), Value("3"), "How many failures in a row make a container unhealthy"),
];

static WEIGHT: [Key; 3] = [
    key("url", URL, Nothing, "Address of the file"),
    key("to", Form(r"[^/]$"), Nothing, "Place in the image: below workdir, or absolute"),
    key(
        "sha256",
        Form("^(sha256:)?[0-9A-Fa-f]{64}$"),
        Found("that of the first fetch, kept in corten.lock"),
        "SHA-256 of the file",
    ),
];

static INTERPRETER: [Key; 2] = [
    key("url", URL, Nothing, "Address of the archive"),
    key("sha256", Form("^(sha256:)?[0-9A-Fa-f]{64}$"), Nothing, "SHA-256 of the archive"),
];

static EXTRA_FILE: [Key; 3] = [
    key("from", Form(INSIDE), Nothing, "Path in the project"),
    key("to", Form(IN_IMAGE), Nothing, "Absolute path in the image"),
    key(
        "mode",
        Either(&[Form("^0*[0-7]{1,3}$"), Whole(0, 0o777)]),
        Found("the file's own"),
        "Permission bits such as \"0644\"",
    ),
];

static IGNORE: [Key; 2] = [
    key(
        "defaults",
        Boolean,
        Value("true"),
        "Do the groups for machine-learning projects apply (.git, .venv, wandb …)?",
    ),
    key("patterns", List(&Text), Value("[]"), "Patterns as lines of .dockerignore"),
];

static BASE: [Key; 2] = [
    key("image", BASE_IMAGE, Found("as for base"), "What the image stands on, as `base = \"…\"` says it"),
    key(
        "aliases",
        Named("", &Text),
        Nothing,
        "For Dockerfiles: what stands in place of a name, as \"python:3.11-slim\" = \"store:python:3.11-slim\"",
    ),
];

static CHECK: [Key; 5] = [
    key(
        "deny",
        List(&Form("^(error|warning|info|ML[0-9]{3})$")),
        Value("[\"error\"]"),
        "Severities and rules that fail the build",
    ),
    key("allow", List(&Form(RULE)), Value("[]"), "Rules that say nothing"),
    key(
        "size",
        Either(&[Form(r"^\s*[0-9]+(\.[0-9]*)?\s*([kKmMgG]?[bB]?|[kKmMgG][iI][bB])\s*$"), Whole(0, i64::MAX)]),
        Nothing,
        "Most bytes that the compressed layers may have together",
    ),
    key("require", List(&OneOf(&super::POINTS)), Value("[]"), "Points of `corten check` that have to be yes"),
    key("licences", Table(&LICENCES, &[]), Nothing, "Which licences packages may have"),
];

const IDENTIFIER: &str = "^[A-Za-z0-9._+:-]+$";

static LICENCES: [Key; 3] = [
    key("allow", List(&Form(IDENTIFIER)), Value("[]"), "SPDX identifiers; where there are any, no other is allowed"),
    key("deny", List(&Form(IDENTIFIER)), Value("[]"), "SPDX identifiers that are not allowed"),
    key("except", List(&Form(IDENTIFIER)), Value("[]"), "Packages that are not judged"),
];

static GPU: [Key; 2] = [
    key(
        "driver",
        Form(r"^[Rr]?[0-9]{1,9}(\.[0-9]{1,9}){0,3}$"),
        Found("this machine's, where it has one and no GPU is named"),
        "Driver that the image is for, version or branch",
    ),
    key(
        "gpus",
        List(&Form(r"\S")),
        Found("those of this machine"),
        "GPUs that the image is for, names or compute capabilities; none for processors alone",
    ),
];

static ARCHIVE: [Key; 4] = [
    key("main", URL, Value("\"http://deb.debian.org/debian\""), "Debian's archive"),
    key("security", URL, Value("\"http://deb.debian.org/debian-security\""), "Debian's security archive"),
    key("snapshot", URL, Nothing, "Where packages that have left the archive are sought"),
    key("keyring", Form(INSIDE), Found("Debian's"), "Keys that sign the archive"),
];

static INDEX: [Key; 2] = [
    key(
        "url",
        URL,
        Found("UV_DEFAULT_INDEX, UV_INDEX_URL, PIP_INDEX_URL, else PyPI"),
        "Index for locks that name none",
    ),
    key("mirrors", Named("^https?://", &URL), Nothing, "Beginnings of addresses, and what to fetch from instead"),
];

static PUBLISH: [Key; 1] = [key("repository", Form(r"^\S+$"), Nothing, "Repository that the image is published to")];

const LINTED: Kind = List(&Form("^[A-Za-z][A-Za-z0-9]*$"));
const SEVERITY: Kind = Named("^[A-Za-z][A-Za-z0-9]*$", &OneOf(&super::lint::SEVERITIES));

static LINT: [Key; 10] = [
    key("select", LINTED, Found("all that speak usually"), "Rules that are asked: numbers, names, or their beginnings"),
    key("extend-select", LINTED, Value("[]"), "Rules that are asked besides"),
    key("ignore", LINTED, Value("[]"), "Rules that say nothing"),
    key("severity", SEVERITY, Nothing, "How much rules matter, where that is not as usual"),
    key(
        "threshold",
        OneOf(&super::lint::SEVERITIES),
        Found("info, or what .hadolint.yaml says"),
        "The least severity that fails",
    ),
    key("exclude", List(&Text), Value("[]"), "Files that are not looked for in folders, as lines of .dockerignore"),
    key("trusted-registries", List(&Text), Found("all"), "Registries that bases may come from; * stands for anything"),
    key(
        "labels",
        Named(r"\S", &OneOf(&super::lint::LABELS)),
        Nothing,
        "Labels that an image has to have, and their kinds",
    ),
    key("strict-labels", Boolean, Value("false"), "No other labels are allowed"),
    key("per-path", Named("", &Table(&LINT_PATH, &[])), Nothing, "What holds besides for files that a pattern matches"),
];

static LINT_PATH: [Key; 3] = [
    key("extend-select", LINTED, Value("[]"), "Rules that are asked besides"),
    key("ignore", LINTED, Value("[]"), "Rules that say nothing"),
    key("severity", SEVERITY, Nothing, "How much rules matter there"),
];

static TEST: [Key; 8] = [
    key(
        "command",
        COMMAND,
        Found("python -m pytest with the paths, where pytest is there"),
        "Command that runs the tests",
    ),
    key(
        "groups",
        List(&Text),
        Found("the lock's group test, tests, testing, dev or develop, the first that is there"),
        "Dependency groups that are there for the tests, and not in the image",
    ),
    key("extras", List(&Text), Value("[]"), "Extras that are there for the tests, and not in the image"),
    key(
        "lock",
        Form(INSIDE),
        Found("of requirements.txt: requirements-test.txt, requirements-dev.txt, the first that is there"),
        "Lock of what is there for the tests, where that is not a group of the project's lock",
    ),
    key(
        "paths",
        List(&Form(INSIDE)),
        Found("tests, test, conftest.py and pytest's settings, those that are there"),
        "Files and folders of the project that are mounted for the tests, and not in the image",
    ),
    key("junit", Form(INSIDE), Nothing, "File of the project that the JUnit report is written to; not in the image"),
    key(
        "network",
        OneOf(&["default", "host", "none"]),
        Found("its own where pasta is installed, else the host's"),
        "Network of the tests, as `corten run` has it",
    ),
    key("env", Named("^[A-Za-z_][A-Za-z0-9_]*$", &Scalar), Nothing, "Variables of the tests, besides the image's"),
];
