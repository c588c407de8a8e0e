//! `corten init --from-dockerfile`: the settings with which the image of a Dockerfile comes from its lock, and a list of what they
//! cannot say.
//!
//! | of the Dockerfile | becomes |
//! |---|---|
//! | FROM of the last stage | `base` |
//! | `apt-get install` | `packages`; compilers, headers and what other stages install: `build-packages` |
//! | `pip install -r`, `uv sync` and the like | `lock` |
//! | ENV, LABEL, WORKDIR, USER, EXPOSE | `env`, `labels`, `workdir`, `user`, `port` |
//! | ENTRYPOINT and CMD, HEALTHCHECK | `run`, `entrypoint`, `healthcheck` |
//! | COPY of the context | nothing: the whole folder is in the image, less .dockerignore; elsewhere `extra-files` |
//!
//! All variables are expanded with the defaults of ARG; no image is asked for.

mod commands;
mod image;

use std::collections::BTreeMap;
use std::path::Path;

use corten_frontend::dockerfile::{Dockerfile, Instruction, Keyword};
use corten_frontend::entry::Certainty;
use corten_frontend::python::LockKind;
use corten_frontend::settings::{Line, words};
use corten_oci::{ContainerConfig, Healthcheck};
use corten_plan::recipe::{Action, Base, CopyAction, CopySource, Files, Recipe, Step};
use serde_json::{Value, json};

use super::propose::{Proposal, command};
use crate::start::VENV;
use commands::{Did, commands};
use image::{Stands, stands_for};

/// What would be written.
pub fn propose(folder: &Path, dockerfile: &Dockerfile, recipe: &Recipe, shown: &str) -> Proposal {
    let mut carry = Carry { folder, dockerfile, recipe, settings: Vec::new(), left: Vec::new(), needs_shell: false };
    carry.base();
    carry.steps();
    carry.config();
    carry.others();
    carry.proposal(shown)
}

struct Carry<'a> {
    folder: &'a Path,
    dockerfile: &'a Dockerfile,
    recipe: &'a Recipe,
    settings: Vec<(&'static str, Value, String)>,
    /// Line, and what it is about.
    left: Vec<(usize, String)>,
    needs_shell: bool,
}

/// Packages of Debian that any base has, or that Corten takes the place of.
const NEEDLESS: [&str; 8] = [
    "python3",
    "python3-pip",
    "python3-venv",
    "python-is-python3",
    "python3-distutils",
    "python3-setuptools",
    "python3-wheel",
    "ca-certificates",
];
/// What is needed to build, not to run.
const TOOLS: [&str; 19] = [
    "gcc",
    "g++",
    "clang",
    "build-essential",
    "make",
    "cmake",
    "ninja-build",
    "pkg-config",
    "pkgconf",
    "git",
    "cargo",
    "rustc",
    "gfortran",
    "autoconf",
    "automake",
    "libtool",
    "swig",
    "nasm",
    "patch",
];
/// Variables that only installers read, by their beginnings.
const OF_INSTALLERS: [&str; 6] = ["PIP_", "UV_", "POETRY_", "PDM_", "DEBIAN_FRONTEND", "CONDA_"];

impl<'a> Carry<'a> {
    fn set(&mut self, key: &'static str, value: Value, why: impl Into<String>) {
        self.settings.push((key, value, why.into()));
    }

    fn left(&mut self, line: usize, what: impl Into<String>) {
        self.left.push((line, what.into()));
    }

    fn line(&self, step: &Step) -> usize {
        self.dockerfile.span(step.range.clone()).position().0
    }

    /// The line of the last instruction of a kind; 0 where there is none.
    fn line_of(&self, keyword: Keyword) -> usize {
        let of = self.dockerfile.instructions.iter().rfind(|instruction| instruction.keyword == keyword);
        of.map_or(0, |instruction| instruction.lines.start)
    }

    /// The last stage and those that it stands on, the lowest first.
    fn chain(&self) -> Vec<usize> {
        let mut chain = Vec::new();
        let mut at = self.recipe.stages.len().checked_sub(1);
        while let Some(stage) = at {
            chain.push(stage);
            at = match self.recipe.stages.get(stage).map(|stage| &stage.base) {
                Some(Base::Stage(below)) if *below < stage => Some(*below),
                _ => None,
            };
        }
        chain.reverse();
        chain
    }

    fn config_of_image(&self) -> ContainerConfig {
        self.recipe.stages.last().map(|stage| stage.config.config.clone()).unwrap_or_default()
    }

    fn base(&mut self) {
        let lowest = self.chain().first().and_then(|stage| self.recipe.stages.get(*stage));
        let Some(Base::Image(name)) = lowest.map(|stage| &stage.base) else {
            return self.left(self.line_of(Keyword::From), "FROM scratch: the base that fits the lock takes its place");
        };
        let image = name.image.clone();
        // The last one that names it: an image of several stages may be named before.
        let names = |one: &&Instruction| one.keyword == Keyword::From && one.line.text.contains(&image);
        let line = self.dockerfile.instructions.iter().rfind(names).map_or(0, |from| from.lines.start);
        match stands_for(&image) {
            Stands::For(base, differs) => {
                self.set("base", json!(base), format!("FROM {image}: the same Python, made from Debian's archive."));
                if let Some(differs) = differs {
                    self.left(line, format!("FROM {image}: {differs}"));
                }
            }
            Stands::Itself(image) => {
                let why = format!("FROM {image}: taken from its registry; Debian's archive has no such Python.");
                self.set("base", json!(image), why);
            }
            Stands::No(why) => self.left(line, format!("FROM {image}: {why}")),
        }
    }

    fn steps(&mut self) {
        let chain = self.chain();
        let workdir = self.workdir();
        let (mut packages, mut build): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        let mut locks: Vec<(usize, String)> = Vec::new();
        let recipe = self.recipe;
        for (at, stage) in recipe.stages.iter().enumerate() {
            let is_shipped = chain.contains(&at);
            for step in &stage.steps {
                let line = self.line(step);
                match &step.action {
                    Action::Run(run) => {
                        for did in commands(&run.arguments, &workdir) {
                            match did {
                                Did::Packages(names) => self.debs(line, names, is_shipped, &mut packages, &mut build),
                                Did::Lock(file) => locks.push((line, self.source_of(&file))),
                                Did::Python(names) => self.left(
                                    line,
                                    format!(
                                        "pip install {}: put them into the project's dependencies, and lock",
                                        names.join(" ")
                                    ),
                                ),
                                Did::User(_) | Did::Nothing => {}
                                Did::Other(text) => {
                                    self.left(line, format!("RUN {text}: nothing runs while the image is made"))
                                }
                            }
                        }
                        if run.script.is_some() {
                            self.left(line, "RUN with a here-document: nothing runs while the image is made");
                        }
                    }
                    Action::Copy(copy) if is_shipped => self.copy(line, copy, &workdir),
                    Action::Copy(_) | Action::Folder { .. } => {}
                }
            }
        }
        self.lock(locks);
        packages.sort();
        packages.dedup();
        build.sort();
        build.dedup();
        if !packages.is_empty() {
            self.set("packages", json!(packages), "What apt-get installs in the image.");
        }
        if !build.is_empty() {
            self.set(
                "build-packages",
                json!(build),
                "What building from source needs; not in the image. A library that is missing there is told (ML192).",
            );
        }
    }

    fn debs(
        &mut self,
        line: usize,
        names: Vec<String>,
        is_shipped: bool,
        packages: &mut Vec<String>,
        build: &mut Vec<String>,
    ) {
        for written in names {
            let name = written.split(['=', ':', '/']).next().unwrap_or_default().to_owned();
            let is_name = name.len() > 1
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte));
            if !is_name {
                self.left(line, format!("apt-get install {written}: no name of a package"));
                continue;
            }
            if written.contains('=') {
                self.left(
                    line,
                    format!("apt-get install {written}: corten.lock pins the version that the archive has"),
                );
            }
            let is_python = NEEDLESS.contains(&name.as_str()) || name.starts_with("python3.");
            let is_tool = TOOLS.contains(&name.as_str()) || name.ends_with("-dev");
            match () {
                () if is_python => {}
                () if is_tool || !is_shipped => build.push(name),
                () => packages.push(name),
            }
        }
    }

    /// The project's file that the Dockerfile knows by this name.
    fn source_of(&self, name: &str) -> String {
        let actions = self.recipe.stages.iter().flat_map(|stage| &stage.steps);
        for step in actions {
            let Action::Copy(copy) = &step.action else { continue };
            let sources: Vec<&str> = copy.sources.iter().filter_map(path).collect();
            let renamed = copy.from == Files::Context && copy.destination.ends_with(&format!("/{name}"));
            let same = sources.iter().find(|source| source.rsplit('/').next() == Some(name));
            match (same, sources.as_slice(), renamed) {
                (Some(source), ..) | (None, [source], true) => return source.trim_start_matches('/').to_owned(),
                _ => {}
            }
        }
        name.to_owned()
    }

    fn lock(&mut self, mut locks: Vec<(usize, String)>) {
        locks.dedup_by(|one, other| one.1 == other.1);
        let mut seen: Vec<String> = Vec::new();
        for (line, file) in locks {
            if seen.contains(&file) {
                continue;
            }
            seen.push(file.clone());
            let is_there = self.folder.join(&file).is_file() && !file.split('/').any(|part| part == "..");
            if !is_there {
                self.left(
                    line,
                    format!("what {file} names is installed, and there is no such file in {}", self.folder.display()),
                );
            } else if self.settings.iter().any(|(key, ..)| *key == "lock") {
                self.left(line, format!("what {file} names is installed, too: one lock has it all"));
            } else if LockKind::named(Path::new(&file)).is_some() {
                self.set("lock", json!(file), format!("What line {line} installs."));
            } else {
                self.left(line, format!("what {file} names is installed: it is no lock that can be read"));
            }
        }
    }

    fn copy(&mut self, line: usize, copy: &CopyAction, workdir: &str) {
        if let Files::Stage(_) | Files::Image(_) | Files::Folder(_) = copy.from {
            let paths: Vec<&str> = copy.sources.iter().filter_map(path).collect();
            // What a stage for wheels and environments makes, the lock's layers are.
            let is_environment = |path: &&str| {
                ["wheels", "install", "venv", ".venv", "site-packages", "deps"]
                    .iter()
                    .any(|name| path.split('/').any(|part| part == *name))
                    || path.starts_with("/usr/local")
            };
            if !paths.iter().all(is_environment) {
                self.left(
                    line,
                    format!("COPY --from of {}: only files of the folder are in the image", paths.join(" ")),
                );
            }
            return;
        }
        for source in &copy.sources {
            match source {
                CopySource::Path { path, .. } => self.copied(line, path, copy, workdir),
                CopySource::Inline { name, .. } => {
                    self.left(line, format!("COPY of the here-document {name}: make it a file of the project"))
                }
                CopySource::Http { url, .. } | CopySource::Git { url, .. } => {
                    self.left(line, format!("ADD {url}: `weights` fetches models by address, nothing else is fetched"))
                }
            }
        }
    }

    /// The whole folder lies in the workdir anyway.
    fn copied(&mut self, line: usize, path: &str, copy: &CopyAction, workdir: &str) {
        let source = path.trim_matches('/');
        let is_folder = copy.destination.ends_with('/')
            || copy.sources.len() > 1
            || source.is_empty()
            || self.folder.join(source).is_dir();
        let name = source.rsplit('/').next().unwrap_or_default();
        let is_contents = source.is_empty() || self.folder.join(source).is_dir();
        let target = copy.destination.trim_end_matches('/');
        let target = if is_folder && !is_contents { format!("{target}/{name}") } else { target.to_owned() };
        let usual =
            if source.is_empty() { workdir.to_owned() } else { format!("{}/{source}", workdir.trim_end_matches('/')) };
        let is_lock = LockKind::named(Path::new(source)).is_some();
        if target == usual || is_lock {
            return;
        }
        if self.folder.join(source).is_file() && target.starts_with('/') && !target.starts_with(&format!("/{VENV}")) {
            let entry = json!({"from": source, "to": target});
            match self.settings.iter_mut().find(|(key, ..)| *key == "extra-files") {
                Some((_, Value::Array(all), _)) => all.push(entry),
                _ => self.set("extra-files", json!([entry]), "What COPY puts elsewhere than below the workdir."),
            }
            return;
        }
        self.left(line, format!("COPY {source} to {target}: it lies in {usual}"));
    }

    fn workdir(&self) -> String {
        match self.config_of_image().working_dir.as_str() {
            "" | "/" => "/app".to_owned(),
            folder => folder.trim_end_matches('/').to_owned(),
        }
    }

    fn config(&mut self) {
        let config = self.config_of_image();
        let workdir = self.workdir();
        if workdir != "/app" {
            self.set("workdir", json!(workdir), "WORKDIR.");
        }
        self.env(&config);
        self.start(&config);
        self.user(&config);
        self.port(&config);
        if let Some(check) = &config.healthcheck {
            self.health(check);
        }
        if let Some(labels) = config.labels.as_ref().filter(|labels| !labels.is_empty()) {
            self.set("labels", json!(labels), "LABEL.");
        }
        for volume in config.volumes.iter().flatten() {
            self.left(self.line_of(Keyword::Volume), format!("VOLUME {volume}: whoever runs the image mounts it"));
        }
        if let Some(signal) = &config.stop_signal {
            self.left(self.line_of(Keyword::Stopsignal), format!("STOPSIGNAL {signal}: the image ends by SIGTERM"));
        }
    }

    fn env(&mut self, config: &ContainerConfig) {
        let line = self.line_of(Keyword::Env);
        let mut kept = BTreeMap::new();
        for variable in config.env.iter().flatten() {
            let Some((name, value)) = variable.split_once('=') else { continue };
            let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && !name.starts_with(|first: char| first.is_ascii_digit());
            match name {
                "PATH" => self.path(line, value),
                _ if OF_INSTALLERS.iter().any(|begins| name.starts_with(begins)) => {
                    self.left(line, format!("ENV {name}: only an installer reads it"))
                }
                _ if !is_name => {
                    self.left(line, format!("ENV {name}: its name has other characters than letters, digits and _"))
                }
                _ => drop(kept.insert(name.to_owned(), value.to_owned())),
            }
        }
        if !kept.is_empty() {
            self.set("env", json!(kept), "ENV.");
        }
    }

    /// Where nothing is known of an image, it is the usual one.
    fn path(&mut self, line: usize, value: &str) {
        const USUAL: [&str; 8] =
            ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "", "/opt/venv/bin"];
        let more: Vec<&str> =
            value.split(':').filter(|folder| !USUAL.contains(folder) && !folder.ends_with("venv/bin")).collect();
        if !more.is_empty() {
            self.left(
                line,
                format!("ENV PATH with {}: the image's has /opt/venv/bin and the usual folders", more.join(":")),
            );
        }
    }

    fn start(&mut self, config: &ContainerConfig) {
        let entrypoint = config.entrypoint.clone().unwrap_or_default();
        let cmd = config.cmd.clone().unwrap_or_default();
        let (entrypoint, cmd) = (self.without_shell(entrypoint), self.without_shell(cmd));
        match (entrypoint.is_empty(), cmd.is_empty()) {
            (true, true) => {}
            (true, false) => self.set("run", command(&cmd), "CMD."),
            (false, true) => self.set("run", command(&entrypoint), "ENTRYPOINT."),
            (false, false) => {
                self.set("entrypoint", command(&entrypoint), "ENTRYPOINT.");
                self.set("run", command(&cmd), "CMD.");
            }
        }
    }

    /// A command of plain words needs no shell; another one needs the variant that has one.
    fn without_shell(&mut self, all: Vec<String>) -> Vec<String> {
        let [shell, flag, script] = all.as_slice() else { return all };
        if !shell.ends_with("sh") || !flag.ends_with('c') {
            return all;
        }
        match words(script.trim().strip_prefix("exec ").unwrap_or(script)) {
            Ok(words) => words,
            Err(_) => {
                self.needs_shell = true;
                all
            }
        }
    }

    fn user(&mut self, config: &ContainerConfig) {
        let line = self.line_of(Keyword::User);
        let user = config.user.split(':').next().unwrap_or_default();
        let is_name = user.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
            && user.len() <= 32
            && user.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte));
        match user {
            "" | "root" | "0" => self.left(line, "no USER but root: the image runs as app, 10001"),
            "10001" => {}
            _ if is_name => self.set("user", json!(user), "USER; its number is 10001."),
            _ => self.left(line, format!("USER {user}: the user's number is always 10001")),
        }
    }

    fn port(&mut self, config: &ContainerConfig) {
        let ports = config.exposed_ports.clone().unwrap_or_default();
        let mut numbers = ports.iter().filter_map(|port| {
            let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
            number.parse::<u16>().ok().filter(|number| protocol == "tcp" && *number > 0)
        });
        let first = numbers.next();
        if let Some(port) = first {
            self.set("port", json!(port), "EXPOSE.");
        }
        let line = self.line_of(Keyword::Expose);
        for port in ports.iter().filter(|port| port.trim_end_matches("/tcp").parse().ok() != first) {
            self.left(line, format!("EXPOSE {port}: an image has one port"));
        }
    }

    fn health(&mut self, check: &Healthcheck) {
        let line = self.line_of(Keyword::Healthcheck);
        let probe = match check.test.as_slice() {
            [kind] if kind == "NONE" => return self.set("healthcheck", json!(false), "HEALTHCHECK NONE."),
            [kind, words @ ..] if kind == "CMD" => words.to_vec(),
            [kind, script] if kind == "CMD-SHELL" => {
                let plain = script.trim().trim_end_matches("|| exit 1").trim();
                match words(plain) {
                    Ok(words) => words,
                    Err(_) => {
                        self.needs_shell = true;
                        vec!["/bin/sh".to_owned(), "-c".to_owned(), script.clone()]
                    }
                }
            }
            _ => return,
        };
        let mut health = serde_json::Map::new();
        match asked_path(&probe) {
            Some(path) => drop(health.insert("path".to_owned(), json!(path))),
            None => drop(health.insert("command".to_owned(), json!(probe))),
        }
        for (key, nanoseconds) in
            [("interval", check.interval), ("timeout", check.timeout), ("start-period", check.start_period)]
        {
            if let Some(milliseconds) = nanoseconds.map(|time| time / 1_000_000).filter(|time| *time > 0) {
                let text = if milliseconds % 1000 == 0 {
                    format!("{}s", milliseconds / 1000)
                } else {
                    format!("{milliseconds}ms")
                };
                health.insert(key.to_owned(), json!(text));
            }
        }
        if let Some(retries) = check.retries.filter(|retries| (1..256).contains(retries)) {
            health.insert("retries".to_owned(), json!(retries));
        }
        if check.start_interval.is_some() {
            self.left(line, "HEALTHCHECK --start-interval: there is no such setting");
        }
        self.set("healthcheck", Value::Object(health), "HEALTHCHECK.");
    }

    fn others(&mut self) {
        for instruction in &self.dockerfile.instructions {
            let line = instruction.lines.start;
            match instruction.keyword {
                Keyword::Onbuild => {
                    self.left.push((line, "ONBUILD: nothing is built on an image from a lock".to_owned()))
                }
                Keyword::Shell => self.left.push((line, "SHELL: no command is run while the image is made".to_owned())),
                Keyword::Maintainer => self.left.push((line, "MAINTAINER: a label says it".to_owned())),
                _ => {}
            }
        }
        if self.needs_shell {
            self.set("variant", json!("slim"), "A command needs a shell.");
        }
    }

    fn proposal(mut self, shown: &str) -> Proposal {
        self.left.sort();
        self.left.dedup();
        let told = |(line, what): &(usize, String)| match line {
            0 => format!("{shown}: {what}"),
            line => format!("{shown}:{line}: {what}"),
        };
        let left: Vec<String> = self.left.iter().map(told).collect();
        let mut head = vec![
            format!(
                "Written by `corten init --from-dockerfile` of {shown}; `corten build --frontend dockerfile` still builds that."
            ),
            "All settings: `corten schema`; which hold, and why: `corten plan --explain-settings`.".to_owned(),
        ];
        if !left.is_empty() {
            head.push("Not carried over:".to_owned());
            head.extend(left.iter().map(|one| format!("  {one}")));
        }
        let lines = self.settings.iter().map(|(key, value, why)| Line {
            key,
            value: value.clone(),
            proposed: false,
            why: vec![why.clone()],
        });
        let found = self.settings.iter().map(|(key, value, why)| super::Found {
            what: key,
            value: match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            },
            certainty: Certainty::Certain,
            because: why.trim_end_matches('.').to_owned(),
        });
        Proposal {
            head,
            lines: lines.collect(),
            ignore_file: None,
            requirements: None,
            found: found.collect(),
            problems: left.into_iter().map(|one| format!("not carried over: {one}")).collect(),
            next: vec!["corten plan".to_owned()],
        }
    }
}

fn path(source: &CopySource) -> Option<&str> {
    match source {
        CopySource::Path { path, .. } => Some(path),
        _ => None,
    }
}

/// `curl -f http://localhost:8000/health`: the path.
fn asked_path(words: &[String]) -> Option<String> {
    let program = words.first()?;
    if !program.ends_with("curl") && !program.ends_with("wget") {
        return None;
    }
    let url = words.iter().find_map(|word| word.strip_prefix("http://"))?;
    let (host, path) = url.split_once('/')?;
    let host = host.split(':').next()?;
    matches!(host, "localhost" | "127.0.0.1" | "0.0.0.0").then(|| format!("/{path}"))
}
