//! The Dockerfile: two stages, packages by what the lock belongs to, and the config that a native image has.
//!
//! ```text
//! build    the same base: installer, cache mounts, files of the lock bound ─► /opt/venv
//! (last)   user 10001, Debian packages, environment, /opt/venv, weights, code, labels, USER, EXPOSE, HEALTHCHECK, CMD
//! ```
//!
//! Comments say why, also where a usual recipe says otherwise: what is measured stands in docs/init.md.

use std::time::Duration;

use corten_diagnostic::Failure;
use corten_oci::{Digest, Healthcheck};

use super::{Image, Installer, comment, from, installer, is_plain, quoted};

/// Installers, by version: of the end of 2026.
const UV: &str = "0.13.9";
const POETRY: &str = "2.5.1";
const PDM: &str = "2.28.2";
const PIPENV: &str = "2026.10.3";

const PIP_CACHE: &str = "--mount=type=cache,target=/root/.cache/pip";
const UV_CACHE: &str = "--mount=type=cache,target=/root/.cache/uv";
const PYTHON: &str = "/opt/venv/bin/python";

/// The whole file.
///
/// # Errors
/// Input: of these packages none can be written.
pub fn text(image: &Image<'_>) -> Result<String, Failure> {
    let installer = installer(image.shown())?;
    let name = from(image.shown());
    let pin = (image.source.pins)(&name);
    let reference = pin.map_or_else(|| name.clone(), |digest: Digest| format!("{name}@{digest}"));
    let mut text = String::new();
    head(image, &mut text);
    build_stage(image, &installer, &reference, pin.is_some(), &mut text);
    last_stage(image, &reference, &mut text);
    Ok(text)
}

fn head(image: &Image<'_>, text: &mut String) {
    let guess = image.source.guess;
    let row = guess.workload.row();
    comment(text, "Written by `corten init --dockerfile`: the image of the settings, by commands.");
    comment(text, &format!("Workload: {}: {}.", row.name, guess.because));
    text.push('\n');
    comment(text, &format!("The base: {}", row.why));
    if guess.workload.uses_gpu() {
        comment(
            text,
            "Which drivers it needs is decided by the CUDA of the wheels: 12.x runs from driver 525 on, 13.x from 580. \
             torch has CUDA for arm64, too, from 2.11 on: build with --platform linux/amd64,linux/arm64.",
        );
    }
}

fn build_stage(image: &Image<'_>, installer: &Installer<'_>, reference: &str, pinned: bool, text: &mut String) {
    if !pinned {
        let name = reference.to_owned();
        comment(text, &format!("A tag moves: pin it with what `corten resolve {name}` prints, as {name}@sha256:…"));
    }
    text.push_str(&format!("FROM {reference} AS build\n"));
    if !matches!(installer, Installer::Nothing) {
        text.push_str(
            "ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \\\n    PIP_ROOT_USER_ACTION=ignore \\\n    VIRTUAL_ENV=/opt/venv\n",
        );
    }
    let build: Vec<&str> = image.settings().build_packages.iter().map(|name| name.value.as_str()).collect();
    debian(&build, text);
    text.push_str("WORKDIR /app\n");
    install(installer, text);
    let built = image.settings().project.as_ref().is_some_and(|project| project.build_system);
    if built || matches!(installer, Installer::Uv { members: true }) {
        own(installer, text);
    }
    text.push('\n');
}

/// Debian packages, in one layer without the lists.
fn debian(names: &[&str], text: &mut String) {
    if names.is_empty() {
        return;
    }
    comment(
        text,
        "No versions: Debian's archive keeps only the newest, so that a pinned one stops to build. The base's digest decides.",
    );
    text.push_str("# hadolint ignore=DL3008\nRUN apt-get update \\\n    && apt-get install -y --no-install-recommends");
    names.iter().for_each(|name| text.push_str(&format!(" \\\n        {name}")));
    text.push_str(" \\\n    && rm -rf /var/lib/apt/lists/*\n");
}

/// `RUN` with its mounts and commands, one on a line.
fn run(text: &mut String, mounts: &[String], commands: &[String]) {
    let mounts: String = mounts.iter().map(|mount| format!("{mount} \\\n    ")).collect();
    text.push_str(&format!("RUN {mounts}{}\n", commands.join(" \\\n    && ")));
}

/// A file of the project that is only there while the command runs.
fn bound(file: &str) -> String {
    format!("--mount=type=bind,source={file},target={file}")
}

/// Into /opt/venv, what others wrote.
fn install(installer: &Installer<'_>, text: &mut String) {
    let cache = "Caches are mounted, not copied: neither the image nor another build's time pays for downloads. A machine that \
                 starts empty (CI) has them only if it brings them along.";
    if !matches!(installer, Installer::Nothing) {
        comment(text, cache);
    }
    match installer {
        Installer::Uv { members } => uv(*members, text),
        Installer::UvPip(file) => {
            with_tool(text, "uv", UV);
            uv_environment(text);
            run(
                text,
                &[UV_CACHE.to_owned(), bound(file)],
                &["uv venv --no-project /opt/venv".to_owned(), format!("uv pip install -r {file}")],
            );
        }
        Installer::Pip { file, included, hashed } => pip(file, included, *hashed, text),
        Installer::Poetry => {
            with_tool(text, "poetry", POETRY);
            let files = [PIP_CACHE.to_owned(), bound("pyproject.toml"), bound("poetry.lock")];
            run(text, &files, &[venv(), "poetry install --only main --no-root --no-interaction --compile".to_owned()]);
        }
        Installer::Pdm => {
            comment(
                text,
                "[locked]: the versions that pdm was released with; newer ones of what it needs have broken it.",
            );
            with_tool(text, "pdm[locked]", PDM);
            let files = [PIP_CACHE.to_owned(), bound("pyproject.toml"), bound("pdm.lock")];
            let sync = "pdm sync --prod --no-self --no-editable".to_owned();
            comment(text, "pdm compiles nothing: without bytecode `import torch` takes twice as long, at each start.");
            run(text, &files, &[venv(), sync, compiled()]);
        }
        Installer::Pipenv => {
            with_tool(text, "pipenv", PIPENV);
            let files = [PIP_CACHE.to_owned(), bound("Pipfile"), bound("Pipfile.lock")];
            let hashed = "pipenv requirements --hash > /tmp/requirements.txt".to_owned();
            let install = format!("pip --python {PYTHON} install --require-hashes -r /tmp/requirements.txt");
            run(text, &files, &[venv(), hashed, install]);
        }
        Installer::Nothing => run(text, &[], &[venv()]),
    }
}

fn venv() -> String {
    "python -m venv --without-pip /opt/venv".to_owned()
}

/// Files that do not compile, as tests of other Pythons, are no mistake.
fn compiled() -> String {
    format!("{PYTHON} -c \"import compileall; compileall.compile_dir('/opt/venv', quiet=2, workers=0)\"")
}

fn with_tool(text: &mut String, name: &str, version: &str) {
    let tool = format!("{name}=={version}");
    // Brackets are patterns of the shell's.
    let tool = if name.contains('[') { format!("'{tool}'") } else { tool };
    run(text, &[PIP_CACHE.to_owned()], &[format!("pip install {tool}")]);
}

fn uv_environment(text: &mut String) {
    comment(text, "Compiled here: without bytecode `import torch` takes twice as long, at each start.");
    text.push_str(
        "ENV UV_COMPILE_BYTECODE=1 \\\n    UV_LINK_MODE=copy \\\n    UV_PYTHON=python3 \\\n    UV_PYTHON_DOWNLOADS=never \\\n    \
         UV_PROJECT_ENVIRONMENT=/opt/venv\n",
    );
}

fn uv(members: bool, text: &mut String) {
    with_tool(text, "uv", UV);
    uv_environment(text);
    if members {
        return comment(text, "The lock has further projects of this folder, so their files come first.");
    }
    comment(text, "Only a changed lock runs this again: no file of the code is here yet.");
    let files = [UV_CACHE.to_owned(), bound("uv.lock"), bound("pyproject.toml")];
    run(text, &files, &["uv sync --locked --no-dev --no-editable --no-install-project".to_owned()]);
}

fn pip(file: &str, included: &[String], hashed: bool, text: &mut String) {
    if !hashed {
        comment(text, "Without hashes: `corten lock` makes pylock.toml of it, which names every file's.");
    }
    let mut mounts = vec![PIP_CACHE.to_owned(), bound(file)];
    mounts.extend(included.iter().map(|file| bound(file)));
    let flag = if hashed { " --require-hashes" } else { "" };
    let install = format!("pip --python {PYTHON} install{flag} -r {file}");
    run(text, &mounts, &[venv(), install]);
}

/// The project itself, installed as a package.
fn own(installer: &Installer<'_>, text: &mut String) {
    text.push_str("COPY . .\n");
    match installer {
        Installer::Uv { .. } => {
            run(text, &[UV_CACHE.to_owned()], &["uv sync --locked --no-dev --no-editable".to_owned()])
        }
        Installer::UvPip(_) => run(text, &[UV_CACHE.to_owned()], &["uv pip install --no-deps .".to_owned()]),
        _ => run(text, &[PIP_CACHE.to_owned()], &[format!("pip --python {PYTHON} install --no-deps .")]),
    }
}

fn last_stage(image: &Image<'_>, reference: &str, text: &mut String) {
    comment(
        text,
        "Compilers, installers and caches stay behind. Not COPY of wheels and rm: the layer of the COPY keeps them.",
    );
    text.push_str(&format!("FROM {reference}\n"));
    let user = &image.settings().user.value;
    text.push_str(&format!(
        "RUN groupadd --gid 10001 {user} \\\n    && useradd --uid 10001 --gid 10001 --no-log-init --create-home {user}\n"
    ));
    let packages: Vec<&str> = image.settings().packages.iter().map(|name| name.value.as_str()).collect();
    debian(&packages, text);
    environment(image, text);
    text.push_str(&format!("WORKDIR {}\n", image.config.working_dir));
    comment(
        text,
        "One layer with all packages. `corten build` gives each large wheel its own: a new tqdm then sends no torch.",
    );
    text.push_str("COPY --from=build /opt/venv /opt/venv\n");
    code(image, text);
    labels(image, text);
    comment(
        text,
        "By number: Kubernetes' runAsNonRoot cannot judge a name. The code stays root's, who alone may write it.",
    );
    text.push_str(&format!("USER {}\n", image.config.user));
    if let Some(port) = image.port() {
        text.push_str(&format!("EXPOSE {port}\n"));
    }
    if let Some(check) = &image.config.healthcheck {
        comment(
            text,
            "Python asks: the image needs no curl. Docker and compose look at it; Kubernetes has probes of its own.",
        );
        text.push_str(&health(check));
    }
    if let Some(entrypoint) = &image.config.entrypoint {
        text.push_str(&format!("ENTRYPOINT {}\n", words(entrypoint)));
    }
    comment(text, "Without a shell, so that SIGTERM reaches it.");
    text.push_str(&format!("CMD {}\n", words(&image.start.command)));
}

fn words(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", "))
}

/// Variables of the native image, and those by which NVIDIA's runtime knows what to bring.
fn environment(image: &Image<'_>, text: &mut String) {
    let mut variables: Vec<(String, String)> = Vec::new();
    for variable in image.config.env.iter().flatten() {
        if let Some((name, value)) = variable.split_once('=') {
            variables.push((name.to_owned(), value.to_owned()));
        }
    }
    if image.source.guess.workload.uses_gpu() {
        for (name, value) in [("NVIDIA_VISIBLE_DEVICES", "all"), ("NVIDIA_DRIVER_CAPABILITIES", "compute,utility")] {
            if !variables.iter().any(|(known, _)| known == name) {
                variables.push((name.to_owned(), value.to_owned()));
            }
        }
    }
    // A line of a Dockerfile cannot hold a line break.
    variables.retain(|(name, value)| !name.is_empty() && !value.chars().any(char::is_control));
    comment(
        text,
        "Caches lie below /tmp: a user that is not root can write there, also with a read-only root and a tmpfs.",
    );
    let (folders, others): (Vec<_>, Vec<_>) = variables.into_iter().partition(|(name, _)| name == TIKTOKEN);
    let lines: Vec<String> = others.iter().map(|(name, value)| format!("{name}={}", assigned(value))).collect();
    text.push_str(&format!("ENV {}\n", lines.join(" \\\n    ")));
    for (name, value) in folders {
        comment(text, "A folder, though its name has a token in it.");
        text.push_str(&format!("# hadolint ignore=DL3064\nENV {name}={}\n", assigned(&value)));
    }
}

/// Linters take it for a secret.
const TIKTOKEN: &str = "TIKTOKEN_CACHE_DIR";

/// A value as ENV and LABEL have it: plain where it can be.
fn assigned(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-:,=+@%".contains(&byte);
    if !value.is_empty() && value.bytes().all(plain) {
        return value.to_owned();
    }
    let mut quoted = String::from("\"");
    for letter in value.chars() {
        if matches!(letter, '"' | '\\' | '$') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted + "\""
}

/// The project's files; weights in a layer of their own below the code's.
fn code(image: &Image<'_>, text: &mut String) {
    let weights = weights(image);
    if weights.is_empty() {
        text.push_str("COPY . .\n");
        return extra_files(image, text);
    }
    comment(text, "Weights apart from the code: a changed line sends no model again.");
    for (folder, patterns) in &weights {
        let target = if folder.is_empty() { "./".to_owned() } else { format!("{folder}/") };
        text.push_str(&format!("COPY {} {target}\n", patterns.join(" ")));
    }
    let excluded = weights.iter().flat_map(|(_, patterns)| patterns);
    let flags: String = excluded.map(|pattern| format!("--exclude={pattern} ")).collect();
    text.push_str(&format!("COPY {flags}. .\n"));
    extra_files(image, text);
}

fn extra_files(image: &Image<'_>, text: &mut String) {
    for extra in &image.settings().extra_files {
        let mode = extra.value.mode.map(|mode| format!("--chmod={mode:04o} ")).unwrap_or_default();
        text.push_str(&format!("COPY {mode}[{}, {}]\n", quoted(&extra.value.from), quoted(&extra.value.to)));
    }
}

/// Patterns of weights by folder: those of the settings, or those that were found. One that crosses folders is left to the code.
fn weights(image: &Image<'_>) -> Vec<(String, Vec<String>)> {
    let named: Vec<String> = image.settings().weights.iter().map(|one| one.value.clone()).collect();
    let all = if named.is_empty() { crate::init::propose::models(image.shown()) } else { named };
    let mut folders: Vec<(String, Vec<String>)> = Vec::new();
    let plain = |pattern: &&String| !pattern.contains("**") && is_plain(&pattern.replace(['*', '?', '[', ']'], ""));
    for pattern in all.iter().filter(plain) {
        let folder = pattern.rsplit_once('/').map_or("", |(folder, _)| folder);
        if folder.contains(['*', '?', '[']) {
            continue;
        }
        match folders.iter_mut().find(|(known, _)| known == folder) {
            Some((_, patterns)) => patterns.push(pattern.clone()),
            None => folders.push((folder.to_owned(), vec![pattern.clone()])),
        }
    }
    folders
}

/// What tells an image's version and commit when only the image is there.
fn labels(image: &Image<'_>, text: &mut String) {
    comment(text, "docker build --build-arg REVISION=\"$(git rev-parse HEAD)\"");
    text.push_str("ARG REVISION=unknown\n");
    let settings = image.settings();
    let mut all: Vec<(String, String)> =
        vec![("org.opencontainers.image.title".to_owned(), assigned(&settings.name.value))];
    if let Some(version) = &settings.version {
        all.push(("org.opencontainers.image.version".to_owned(), assigned(&version.value)));
    }
    all.push(("org.opencontainers.image.revision".to_owned(), "$REVISION".to_owned()));
    let own = settings.labels.iter().filter(|(_, value)| !value.value.chars().any(char::is_control));
    for (name, value) in own {
        all.retain(|(known, _)| known != name);
        all.push((name.clone(), assigned(&value.value)));
    }
    let lines: Vec<String> = all.iter().map(|(name, value)| format!("{name}={value}")).collect();
    text.push_str(&format!("LABEL {}\n", lines.join(" \\\n    ")));
}

fn health(check: &Healthcheck) -> String {
    let flag = |name: &str, nanoseconds: Option<u64>| {
        let seconds = Duration::from_nanos(nanoseconds.unwrap_or_default()).as_secs_f64();
        nanoseconds.map(|_| format!("--{name}={seconds}s ")).unwrap_or_default()
    };
    let retries = check.retries.map(|retries| format!("--retries={retries} ")).unwrap_or_default();
    let flags = [
        flag("interval", check.interval),
        flag("timeout", check.timeout),
        flag("start-period", check.start_period),
        retries,
    ];
    let command: Vec<String> = check.test.iter().skip(1).cloned().collect();
    format!("HEALTHCHECK {}\\\n    CMD {}\n", flags.concat(), words(&command))
}
