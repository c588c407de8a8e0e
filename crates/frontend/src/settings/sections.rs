//! The keys, one function per table.

use std::collections::BTreeMap;
use std::time::Duration;

use corten_diagnostic::{Failure, Span};
use corten_plan::{Compression, Variant};
use toml::de::DeTable;

use super::{
    ArchiveSettings, Base, BytecodeSetting, CheckSettings, ExtraFile, Frontend, Health, HealthSetting, IgnoreSettings,
    IndexSettings, InterpreterSource, LayerSettings, LicenceSettings, POINTS, Port, Probe, Project, PublishSettings,
    RemoteWeight, Setting, Settings, Source, Table, Value, value,
};

/// Settings that a build from a Dockerfile has a use for, too.
const SHARED: [&str; 11] =
    ["check", "gpu", "lint", "publish", "frontend", "name", "version", "labels", "index", "archive", "test"];

/// `[tool.corten]`, with its place.
pub(super) fn tool_corten<'t>(
    source: &'t Source,
    root: &'t DeTable<'t>,
) -> Result<Option<(&'t Source, &'t DeTable<'t>, Span)>, Failure> {
    let Some(value) = root.get("tool").and_then(|tool| tool.get_ref().get("corten")) else { return Ok(None) };
    let at = source.span(value.span());
    match value.get_ref().as_table() {
        Some(table) => Ok(Some((source, table, at))),
        None => Err(Failure::usage("[tool.corten] is not a table").at(at)),
    }
}

/// What holds where nothing is written. The name is filled in by [`Settings::completed`].
pub(super) fn none() -> Settings {
    Settings {
        name: Setting::default_of(String::new()),
        version: None,
        base: Setting::default_of(Base::Debian { suite: "bookworm".into() }),
        aliases: BTreeMap::new(),
        variant: Setting::default_of(Variant::default()),
        python: None,
        interpreter: None,
        lock: None,
        package: None,
        groups: Vec::new(),
        extras: Vec::new(),
        packages: Vec::new(),
        allow_unconfigured: Vec::new(),
        build_packages: Vec::new(),
        run: None,
        entrypoint: None,
        workdir: Setting::default_of("/app".into()),
        user: Setting::default_of("app".into()),
        port: Setting::default_of(Port::Auto),
        healthcheck: Setting::default_of(HealthSetting::Auto),
        env: BTreeMap::new(),
        labels: BTreeMap::new(),
        extra_files: Vec::new(),
        layers: LayerSettings {
            compression: Setting::default_of(Compression::Splice),
            weights: Setting::default_of(Compression::Stored),
            bytecode: Setting::default_of(BytecodeSetting::None),
        },
        weights: Vec::new(),
        remote_weights: Vec::new(),
        ignore: IgnoreSettings { defaults: Setting::default_of(true), patterns: Vec::new() },
        check: CheckSettings { deny: vec![Setting::default_of("error".into())], ..CheckSettings::default() },
        gpu: super::GpuSettings::default(),
        lint: super::LintSettings::default(),
        archive: ArchiveSettings::default(),
        index: IndexSettings::default(),
        frontend: None,
        publish: PublishSettings::default(),
        test: super::TestSettings::default(),
        project: None,
        native: None,
    }
}

pub(super) fn settings(table: &mut Table<'_>) -> Result<Settings, Failure> {
    let mut settings = none();
    let aliases_alone = table.take("base").is_some_and(|base| base.has_only("aliases"));
    let shared = |key: &str| SHARED.contains(&key) || key == "base" && aliases_alone;
    settings.native = table.keys().find(|(key, _)| !shared(key)).map(|(_, at)| at);
    identity(table, &mut settings)?;
    packages(table, &mut settings)?;
    service(table, &mut settings)?;
    layers(table, &mut settings.layers)?;
    files(table, &mut settings)?;
    surroundings(table, &mut settings)?;
    Ok(settings)
}

fn identity(table: &mut Table<'_>, settings: &mut Settings) -> Result<(), Failure> {
    if let Some(found) = table.take("name") {
        settings.name = found.parsed(name)?;
    }
    if let Some(found) = table.take("version") {
        settings.version = Some(found.parsed(version)?);
    }
    if let Some(found) = table.take("base") {
        base(&found, settings)?;
    }
    if let Some(found) = table.take("variant") {
        settings.variant = found.parsed(variant)?;
    }
    if let Some(found) = table.take("frontend") {
        settings.frontend = Some(found.parsed(frontend)?);
    }
    Ok(())
}

/// `base = "…"`, or `[base]` with its image and the names that stand for others.
fn base(found: &Value<'_>, settings: &mut Settings) -> Result<(), Failure> {
    if found.text().is_some() {
        settings.base = found.parsed(super::base::parse)?;
        return Ok(());
    }
    found.table(|table| {
        if let Some(image) = table.take("image") {
            settings.base = image.parsed(super::base::parse)?;
        }
        if let Some(aliases) = table.take("aliases") {
            let all = aliases.named()?.into_iter().map(|(name, alias)| Ok((name.value, alias.string()?)));
            settings.aliases = all.collect::<Result<_, Failure>>()?;
        }
        Ok(())
    })
}

fn packages(table: &mut Table<'_>, settings: &mut Settings) -> Result<(), Failure> {
    if let Some(found) = table.take("python") {
        settings.python = Some(found.parsed(value::python)?);
    }
    if let Some(found) = table.take("interpreter") {
        settings.interpreter = Some(interpreter(&found)?);
    }
    if let Some(found) = table.take("lock") {
        settings.lock = Some(found.parsed(value::below_project)?);
    }
    if let Some(found) = table.take("package") {
        settings.package = Some(found.string()?);
    }
    settings.groups = strings(table.take("groups"))?;
    settings.extras = strings(table.take("extras"))?;
    settings.packages = debian_packages(table.take("packages"))?;
    settings.allow_unconfigured = debian_packages(table.take("allow-unconfigured"))?;
    settings.build_packages = debian_packages(table.take("build-packages"))?;
    Ok(())
}

fn service(table: &mut Table<'_>, settings: &mut Settings) -> Result<(), Failure> {
    settings.run = table.take("run").map(|found| command(&found)).transpose()?;
    settings.entrypoint = table.take("entrypoint").map(|found| command(&found)).transpose()?;
    if let Some(found) = table.take("workdir") {
        settings.workdir = found.parsed(value::in_image)?;
    }
    if let Some(found) = table.take("user") {
        settings.user = found.parsed(value::user)?;
    }
    if let Some(found) = table.take("port") {
        settings.port = port(&found)?;
    }
    if let Some(found) = table.take("healthcheck") {
        settings.healthcheck = healthcheck(&found)?;
    }
    if let Some(found) = table.take("env") {
        settings.env = env(&found)?;
    }
    if let Some(found) = table.take("labels") {
        let labels = found.named()?;
        settings.labels =
            labels.into_iter().map(|(key, value)| Ok((key.value, value.scalar()?))).collect::<Result<_, Failure>>()?;
    }
    Ok(())
}

fn layers(table: &mut Table<'_>, layers: &mut LayerSettings) -> Result<(), Failure> {
    if let Some(found) = table.take("compression") {
        layers.compression = found.parsed(compression)?;
    }
    if let Some(found) = table.take("estargz") {
        let estargz = found.boolean()?;
        if estargz.value && layers.compression.value == Compression::Zstd {
            return Err(found.wrong("is true beside compression = \"zstd\", but eStargz layers are gzip"));
        }
        if estargz.value {
            layers.compression = estargz.map(|_| Compression::Estargz);
        }
    }
    if let Some(found) = table.take("weights-compression") {
        layers.weights = found.parsed(weights_compression)?;
    }
    if let Some(found) = table.take("bytecode") {
        layers.bytecode = found.parsed(bytecode)?;
    }
    Ok(())
}

fn files(table: &mut Table<'_>, settings: &mut Settings) -> Result<(), Failure> {
    if let Some(found) = table.take("weights") {
        weights(&found, settings)?;
    }
    if let Some(found) = table.take("extra-files") {
        settings.extra_files = found.array()?.iter().map(extra_file).collect::<Result<_, _>>()?;
    }
    if let Some(found) = table.take("ignore") {
        settings.ignore = found.table(|table| {
            let defaults = table.take("defaults").map(|found| found.boolean()).transpose()?;
            let patterns = strings(table.take("patterns"))?;
            Ok(IgnoreSettings { defaults: defaults.unwrap_or(Setting::default_of(true)), patterns })
        })?;
    }
    Ok(())
}

fn surroundings(table: &mut Table<'_>, settings: &mut Settings) -> Result<(), Failure> {
    if let Some(found) = table.take("check") {
        settings.check = found.table(check)?;
    }
    if let Some(found) = table.take("gpu") {
        settings.gpu = found.table(super::gpu::read)?;
    }
    if let Some(found) = table.take("lint") {
        settings.lint = found.table(super::lint::read)?;
    }
    if let Some(found) = table.take("archive") {
        settings.archive = found.table(archive)?;
    }
    if let Some(found) = table.take("index") {
        settings.index = found.table(index)?;
    }
    if let Some(found) = table.take("publish") {
        settings.publish = found.table(publish)?;
    }
    if let Some(found) = table.take("test") {
        settings.test = found.table(super::trial::read)?;
    }
    Ok(())
}

fn check(table: &mut Table<'_>) -> Result<CheckSettings, Failure> {
    let deny = match table.take("deny") {
        Some(found) => found.array()?.iter().map(|item| item.parsed(rule_or_severity)).collect::<Result<_, _>>()?,
        None => vec![Setting::default_of("error".into())],
    };
    let allow = match table.take("allow") {
        Some(found) => found.array()?.iter().map(|item| item.parsed(rule)).collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    let require = match table.take("require") {
        Some(found) => found.array()?.iter().map(|item| item.parsed(point)).collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    let licences = table.take("licences").map(|found| found.table(licences)).transpose()?;
    let size = table.take("size").map(|found| size(&found)).transpose()?;
    Ok(CheckSettings { deny, allow, size, require, licences })
}

fn point(text: &str) -> Result<String, String> {
    match POINTS.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(format!("is '{text}', expected one of {}", POINTS.join(", "))),
    }
}

fn licences(table: &mut Table<'_>) -> Result<LicenceSettings, Failure> {
    let mut list = |key| match table.take(key) {
        Some(found) => found.array()?.iter().map(|item| item.parsed(identifier)).collect::<Result<_, _>>(),
        None => Ok(Vec::new()),
    };
    Ok(LicenceSettings { allow: list("allow")?, deny: list("deny")?, except: list("except")? })
}

/// Of a licence or a package.
fn identifier(text: &str) -> Result<String, String> {
    let good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_+:".contains(&byte));
    if good { Ok(text.to_owned()) } else { Err(format!("is '{text}', expected an identifier such as \"Apache-2.0\"")) }
}

fn archive(table: &mut Table<'_>) -> Result<ArchiveSettings, Failure> {
    let mut url = |key| table.take(key).map(|found| found.parsed(value::url)).transpose();
    let (main, security, snapshot) = (url("main")?, url("security")?, url("snapshot")?);
    let keyring = table.take("keyring").map(|found| found.parsed(value::below_project)).transpose()?;
    Ok(ArchiveSettings { main, security, snapshot, keyring })
}

fn index(table: &mut Table<'_>) -> Result<IndexSettings, Failure> {
    let url = table.take("url").map(|found| found.parsed(value::url)).transpose()?;
    let mirrors = match table.take("mirrors") {
        Some(found) => found.named()?.iter().map(mirror).collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    Ok(IndexSettings { url, mirrors })
}

fn mirror((from, to): &(Setting<String>, Value<'_>)) -> Result<(String, Setting<String>), Failure> {
    let address = value::url(from).map_err(|why| placed(Failure::usage(format!("a mirrored address {why}")), from))?;
    Ok((address, to.parsed(value::url)?))
}

fn placed<T>(failure: Failure, setting: &Setting<T>) -> Failure {
    match &setting.at {
        Some(at) => failure.at(at.clone()),
        None => failure,
    }
}

fn publish(table: &mut Table<'_>) -> Result<PublishSettings, Failure> {
    let parse = |text: &str| text.parse().map_err(|error| format!("is '{text}': {error}"));
    Ok(PublishSettings { repository: table.take("repository").map(|found| found.parsed(parse)).transpose()? })
}

pub(super) fn strings(found: Option<Value<'_>>) -> Result<Vec<Setting<String>>, Failure> {
    found.map_or(Ok(Vec::new()), |found| found.strings())
}

fn debian_packages(found: Option<Value<'_>>) -> Result<Vec<Setting<String>>, Failure> {
    found.map_or(Ok(Vec::new()), |found| found.array()?.iter().map(|item| item.parsed(value::debian_package)).collect())
}

/// A text that splits into words, or an array of them.
pub(super) fn command(found: &Value<'_>) -> Result<Setting<Vec<String>>, Failure> {
    if found.text().is_some() {
        return found.parsed(value::words);
    }
    let words: Vec<String> = found.strings()?.into_iter().map(|word| word.value).collect();
    match words.first() {
        Some(program) if !program.is_empty() => Ok(found.set(words)),
        _ => Err(found.wrong("is empty, expected a command")),
    }
}

fn port(found: &Value<'_>) -> Result<Setting<Port>, Failure> {
    match found.flag() {
        Some(false) => Ok(found.set(Port::None)),
        Some(true) => Err(found.wrong("is true, expected a number or false")),
        None => match found.whole::<u16>("a port from 1 to 65535")? {
            Setting { value: 0, .. } => Err(found.wrong("is 0, expected a port from 1 to 65535")),
            port => Ok(port.map(Port::Number)),
        },
    }
}

fn healthcheck(found: &Value<'_>) -> Result<Setting<HealthSetting>, Failure> {
    match found.flag() {
        Some(false) => return Ok(found.set(HealthSetting::Off)),
        Some(true) => return Ok(found.set(HealthSetting::Auto)),
        None => {}
    }
    let probe_of = |table: &mut Table<'_>| match (table.take("path"), table.take("command")) {
        (Some(_), Some(command)) => Err(command.wrong("stands beside 'path'; keep one of the two")),
        (Some(path), None) => Ok(Probe::Http(path.parsed(url_path)?.value)),
        (None, Some(line)) => Ok(Probe::Command(command(&line)?.value)),
        (None, None) => Ok(Probe::Connect),
    };
    let health = found.table(|table| {
        let mut health = Health { probe: probe_of(table)?, ..Health::default() };
        let mut time = |key, time: &mut Duration| -> Result<(), Failure> {
            if let Some(found) = table.take(key) {
                *time = duration(&found)?;
            }
            Ok(())
        };
        time("interval", &mut health.interval)?;
        time("timeout", &mut health.timeout)?;
        time("start-period", &mut health.start_period)?;
        if let Some(found) = table.take("retries") {
            health.retries = found.whole::<u8>("a number from 1 to 255")?.value.max(1).into();
        }
        Ok(health)
    })?;
    Ok(found.set(HealthSetting::On(health)))
}

impl Default for Health {
    /// A connection; a model may take a minute to load.
    fn default() -> Self {
        Self {
            probe: Probe::Connect,
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            start_period: Duration::from_secs(60),
            retries: 3,
        }
    }
}

fn url_path(text: &str) -> Result<String, String> {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\'));
    if text.starts_with('/') && printable {
        Ok(text.to_owned())
    } else {
        Err(format!("is '{text}', expected a path such as \"/health\""))
    }
}

/// Whole seconds or a text.
fn duration(found: &Value<'_>) -> Result<Duration, Failure> {
    if found.text().is_some() {
        return Ok(found.parsed(value::duration)?.value);
    }
    let seconds = found.whole::<u16>("seconds, or a time such as \"30s\"")?.value;
    Ok(Duration::from_secs(u64::from(seconds.max(1))))
}

/// Bytes or a text.
fn size(found: &Value<'_>) -> Result<Setting<u64>, Failure> {
    if found.text().is_some() { found.parsed(value::size) } else { found.whole("bytes, or a size such as \"500MB\"") }
}

pub(super) fn env(found: &Value<'_>) -> Result<BTreeMap<String, Setting<String>>, Failure> {
    let mut env = BTreeMap::new();
    for (name, value) in found.named()? {
        if !value::is_variable(&name) {
            return Err(value.wrong("has a name that no environment variable may have"));
        }
        env.insert(name.value, value.scalar()?);
    }
    Ok(env)
}

fn extra_file(found: &Value<'_>) -> Result<Setting<ExtraFile>, Failure> {
    let file = found.table(|table| {
        let mut path = |key, parse: fn(&str) -> Result<String, String>| match table.take(key) {
            Some(path) => path.parsed(parse),
            None => Err(found.wrong(format!("has no '{key}'"))),
        };
        let from = path("from", value::below_project)?.value;
        let to = path("to", value::in_image)?.value;
        let mode = table.take("mode").map(|found| mode(&found)).transpose()?;
        Ok(ExtraFile { from, to, mode })
    })?;
    Ok(found.set(file))
}

/// Patterns of the project's own files, and tables of those that are fetched.
fn weights(found: &Value<'_>, settings: &mut Settings) -> Result<(), Failure> {
    let items = found.items().ok_or_else(|| found.wrong("is no array, expected patterns such as \"models/*.onnx\""))?;
    for item in items {
        match item.text() {
            None => settings.remote_weights.push(remote_weight(&item)?),
            Some(_) => settings.weights.push(item.string()?),
        }
    }
    Ok(())
}

fn remote_weight(found: &Value<'_>) -> Result<Setting<RemoteWeight>, Failure> {
    let missing = |key: &str| found.wrong(format!("has no '{key}'"));
    let weight = found.table(|table| {
        let url = table.take("url").ok_or_else(|| missing("url"))?.parsed(value::url)?.value;
        let to = table.take("to").ok_or_else(|| missing("to"))?.parsed(weight_place)?.value;
        let sha256 = table.take("sha256").map(|found| found.parsed(value::sha256)).transpose()?;
        Ok(RemoteWeight { url, sha256: sha256.map(|digest| digest.value), to })
    })?;
    Ok(found.set(weight))
}

fn interpreter(found: &Value<'_>) -> Result<Setting<InterpreterSource>, Failure> {
    let missing = |key: &str| found.wrong(format!("has no '{key}'"));
    let source = found.table(|table| {
        let url = table.take("url").map(|found| found.parsed(value::url)).transpose()?;
        let sha256 = table.take("sha256").map(|found| found.parsed(value::sha256)).transpose()?;
        let url = url.ok_or_else(|| missing("url"))?.value;
        Ok(InterpreterSource { url, sha256: sha256.ok_or_else(|| missing("sha256"))?.value })
    })?;
    Ok(found.set(source))
}

/// Below the workdir, or absolute; a file, not a folder.
fn weight_place(text: &str) -> Result<String, String> {
    let plain = text.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
    let first = text.split('/').next().unwrap_or_default();
    if plain && text != "/" && !matches!(first, "." | "..") && !text.is_empty() && !text.contains('\0') {
        Ok(text.to_owned())
    } else {
        Err(format!("is '{text}', expected the path of a file such as \"weights/model.onnx\""))
    }
}

/// `"0644"` or `0o644`.
fn mode(found: &Value<'_>) -> Result<u32, Failure> {
    if found.text().is_some() {
        return Ok(found.parsed(value::mode)?.value);
    }
    let bits = found.whole::<u32>("permission bits such as \"0644\"")?.value;
    if bits > 0o777 { Err(found.wrong("is out of range, expected permission bits such as \"0644\"")) } else { Ok(bits) }
}

fn name(text: &str) -> Result<String, String> {
    let known = text.parse::<corten_oci::Repository>().map(|repository| repository.host.is_none());
    if known == Ok(true) {
        Ok(text.to_owned())
    } else {
        Err(format!("is '{text}', expected lower-case letters, digits and single dashes"))
    }
}

fn version(text: &str) -> Result<String, String> {
    corten_oci::Tag::new(text.replace('+', "-"))
        .map(|_| text.to_owned())
        .map_err(|error| format!("cannot be a tag: {error}"))
}

fn variant(text: &str) -> Result<Variant, String> {
    match text {
        "distroless" => Ok(Variant::Distroless),
        "slim" => Ok(Variant::Slim),
        _ => Err(format!("is '{text}', expected \"distroless\" or \"slim\"")),
    }
}

fn compression(text: &str) -> Result<Compression, String> {
    match text {
        "splice" => Ok(Compression::Splice),
        "gzip" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        _ => Err(format!("is '{text}', expected \"splice\", \"gzip\" or \"zstd\"")),
    }
}

fn weights_compression(text: &str) -> Result<Compression, String> {
    match text {
        "none" => Ok(Compression::Stored),
        "zstd" => Ok(Compression::Zstd),
        _ => Err(format!("is '{text}', expected \"none\" or \"zstd\"")),
    }
}

fn bytecode(text: &str) -> Result<BytecodeSetting, String> {
    match text {
        "all" => Ok(BytecodeSetting::All),
        "app" => Ok(BytecodeSetting::App),
        "none" => Ok(BytecodeSetting::None),
        _ => Err(format!("is '{text}', expected \"all\", \"app\" or \"none\"")),
    }
}

fn frontend(text: &str) -> Result<Frontend, String> {
    match text {
        "native" => Ok(Frontend::Native),
        "dockerfile" => Ok(Frontend::Dockerfile),
        _ => Err(format!("is '{text}', expected \"native\" or \"dockerfile\"")),
    }
}

fn rule(text: &str) -> Result<String, String> {
    let number = text.strip_prefix("ML").filter(|number| number.len() == 3);
    let good = number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    if good { Ok(text.to_owned()) } else { Err(format!("is '{text}', expected a rule such as \"ML151\"")) }
}

fn rule_or_severity(text: &str) -> Result<String, String> {
    match text {
        "error" | "warning" | "info" => Ok(text.to_owned()),
        _ => rule(text)
            .map_err(|_| format!("is '{text}', expected \"error\", \"warning\", \"info\" or a rule such as \"ML151\"")),
    }
}

impl Settings {
    /// Fills in what the project or its folder say where the settings are silent.
    pub(super) fn completed(mut self, project: Option<Project>, folder: &str) -> Result<Self, Failure> {
        if self.name.is_empty() {
            let named = project.as_ref().map_or(Setting::default_of(folder.to_owned()), |project| project.name.clone());
            self.name = match value::image_name(&named) {
                Some(name) => named.map(|_| name),
                None => Setting::default_of("app".into()),
            };
        }
        if self.version.is_none() {
            self.version = project.as_ref().and_then(|project| project.version.clone());
        }
        if let Some(written) = &self.version {
            version(written).map_err(|why| placed(Failure::input(format!("the project's version {why}")), written))?;
        }
        self.project = project;
        Ok(self)
    }
}
