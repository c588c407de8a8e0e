//! `corten build` of a Dockerfile.

use std::env;
use std::fs;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use corten_diagnostic::{Failure, Finding, Report};
use corten_flow::World;
use corten_flow::dockerfile::Warning;
use corten_flow::dockerfile::{
    Allowed, Attestations, Built, LARGEST_SECRET, Outcome, Request, Secrets, Way, build, verdict,
};
use corten_flow::exports::{self, Export, ExportKind, Exported, Written};
use corten_flow::run::ulimit;
use corten_flow::{outputs, registry};
use corten_oci::{Digest, Reference};
use serde::Serialize;
use serde_json::json;

use super::build::name;
use super::docker_annotations::{Annotations, without_index};
use super::docker_attest::attestations;
use super::docker_call::{self, Asked};
use super::{result, target_options};
use crate::args::{self, Format, Global};
use crate::quantities;
use crate::render::steps::Steps;
use crate::render::{error, say};
use crate::surroundings;

/// The object of `--format json`.
#[derive(Serialize)]
struct Shape {
    /// The config's digest.
    id: String,
    /// Of the manifest, where an output asked for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    references: Vec<String>,
    layers: Vec<String>,
    /// Bytes of the layers, unpacked.
    size: u64,
    steps: Vec<StepShape>,
    findings: Vec<Finding>,
    seconds: f64,
}

#[derive(Serialize)]
struct StepShape {
    name: String,
    cached: bool,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// Builds, names, writes out.
pub fn run(
    request: &Request,
    arguments: &args::Build,
    global: &Global,
    format: Format,
    world: &World<'_>,
) -> Result<u8, Report> {
    let start = std::time::Instant::now();
    let docker = &arguments.docker_build;
    let asked = if docker.check { Some("check") } else { docker.call.as_deref() };
    if let Some(asked) = asked.map(Asked::parse).transpose()?.flatten() {
        return docker_call::run(request, asked, &mut std::io::stdin().lock(), world);
    }
    let way = way(arguments)?;
    if docker.debug_shell {
        at_a_terminal(request)?;
    }
    let (wanted, attestations) = outputs_of(arguments, request)?;
    for file in docker.iidfile.iter().chain(&docker.metadata_file) {
        outputs::writable("--iidfile and --metadata-file", file)?;
    }
    if let Some(file) = &docker.iidfile {
        forget(file)?;
    }
    let names = names(arguments, &wanted)?;
    let is_by_digest = wanted.iter().any(|one| one.by_digest);
    if names.is_empty() && wanted.iter().any(|one| one.kind == ExportKind::Image { push: true }) {
        return Err(Failure::usage("--push needs a name to push to").hint("-t REGISTRY/REPOSITORY:TAG").into());
    }
    let progress = Steps::new(global.progress, global.quiet, surroundings::draws(), docker.why);
    let outcome = build(request, &way, &mut std::io::stdin().lock(), &progress, world)?;
    let verdict = verdict(&outcome, world)?;
    verdict.findings().iter().for_each(|finding| say(&error::finding(finding)));
    verdict.require()?;
    if let Some(warned) = docker_call::warned(&outcome.checked.warnings).filter(|_| !global.quiet) {
        say(&warned);
    }
    // Who pushes by digest gives out no names: here neither.
    let own = if is_by_digest { &[] } else { names.as_slice() };
    outcome.name(own, &outcome.id, world)?;
    let ended = world.now.saturating_add(i64::try_from(start.elapsed().as_secs()).unwrap_or_default());
    let built = Built { request, way: &way, outcome: &outcome, names: &names, times: (world.now, ended) };
    let digest = export(&built, &wanted, &attestations, arguments, world)?;
    let index = digest.filter(|_| attestations.is_some());
    if let Some(index) = &index {
        outcome.name(own, index, world)?;
    }
    // As buildx: of what has an index, the id is the index's digest.
    let id = index.unwrap_or(outcome.id);
    if let Some(file) = &docker.iidfile {
        write(file, id.to_string().as_bytes())?;
    }
    if let Some(file) = &docker.metadata_file {
        write(file, &metadata(&built, digest.as_ref(), &wanted, (docker, index.is_some()), world)?)?;
    }
    if wanted.iter().any(Export::is_standard) {
        return Ok(0);
    }
    let warned = outcome.checked.warnings.iter().map(Warning::finding);
    let findings = verdict.findings().iter().cloned().chain(warned).collect();
    let names = if is_by_digest { untagged(&names, digest) } else { names };
    let shape = Shape { findings, ..shape(&outcome, digest, &names, start.elapsed().as_secs_f64()) };
    let quiet = global.quiet.then_some(id);
    result(format, &shape, || text(&shape, quiet))?;
    Ok(0)
}

/// Where the image goes, and what is said about it there.
fn outputs_of(arguments: &args::Build, request: &Request) -> Result<(Vec<Export>, Attestations), Report> {
    let docker = &arguments.docker_build;
    let mut wanted = arguments.outputs.iter().map(|text| text.parse()).collect::<Result<Vec<Export>, _>>()?;
    if docker.push {
        wanted.push("type=registry".parse()?);
    }
    let platform = format!("linux/{}", request.architecture);
    let annotations = Annotations::parse(&docker.annotations, &platform)?;
    let attestations = attestations(docker)?;
    if attestations.is_some() {
        attested_outputs(&mut wanted, arguments.load)?;
    } else {
        without_index(&annotations.texts)?;
    }
    for one in &mut wanted {
        if !attestations.is_some() {
            without_index(&one.texts)?;
        }
        one.manifest.annotations.extend(annotations.manifest.clone());
        one.texts.add(&annotations.texts);
    }
    if annotations != Annotations::default() && !wanted.iter().any(Export::has_annotations) {
        let why = match wanted.as_slice() {
            [] => "without an output nothing has a manifest",
            _ => "files and docker's archives have no manifest",
        };
        let failure = Failure::usage(format!("--annotation: {why}"));
        return Err(failure.hint("--push, or -o type=oci,dest=FILE").into());
    }
    exports::refuse_impossible(&wanted)?;
    Ok((wanted, attestations))
}

/// A shell needs somebody who types.
fn at_a_terminal(request: &Request) -> Result<(), Failure> {
    if request.context == "-" || request.file.as_deref() == Some("-") {
        return Err(Failure::usage("--debug-shell: stdin cannot be a terminal and what is built at once"));
    }
    match std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        true => Ok(()),
        false => Err(Failure::usage("--debug-shell: stdin and stdout are no terminal")
            .hint("without it, the error shows the last that the step has written, --progress plain all of it")),
    }
}

/// Names of `--tag` and of outputs.
fn names(arguments: &args::Build, wanted: &[Export]) -> Result<Vec<Reference>, Failure> {
    let tags = arguments.tags.iter().map(|text| name("--tag", text));
    let others = wanted.iter().flat_map(|export| &export.names).map(|text| name("--output name=", text));
    if wanted.iter().any(|export| export.by_digest) {
        let mut all = arguments.tags.iter().chain(wanted.iter().flat_map(|export| &export.names));
        all.try_for_each(|text| without_tag(text))?;
    }
    tags.chain(others).collect()
}

/// As BuildKit, which refuses a tag that would not be written.
fn without_tag(text: &str) -> Result<(), Failure> {
    match text.parse::<Reference>() {
        Ok(Reference { tag: Some(tag), .. }) => {
            let why = format!("--output push-by-digest=true: '{text}' has the tag '{tag}', which nothing would get");
            Err(Failure::usage(why).hint("leave the tag out: -t REGISTRY/REPOSITORY"))
        }
        _ => Ok(()),
    }
}

/// The names as those of a digest, or of none.
fn untagged(names: &[Reference], digest: Option<Digest>) -> Vec<Reference> {
    names.iter().map(|name| Reference { tag: None, digest, ..name.clone() }).collect()
}

/// What is said about an image stands in an index, or in files beside the image's. Docker's archives have neither. Without an
/// output, the store keeps it.
fn attested_outputs(wanted: &mut Vec<Export>, load: bool) -> Result<(), Failure> {
    if load || wanted.iter().any(|one| matches!(one.kind, ExportKind::Docker(_))) {
        return Err(Failure::usage("--sbom, --provenance: docker's archives have no index, where they would stand")
            .hint("--push, or -o type=oci,dest=FILE; without an output they stay in the store with the image"));
    }
    if wanted.iter().any(|one| one.needs_manifest() && one.manifest.docker) {
        return Err(Failure::usage("--sbom, --provenance: oci-mediatypes=false: an index of theirs is OCI's alone")
            .hint("leave oci-mediatypes=false out"));
    }
    if wanted.is_empty() {
        wanted.push("type=image".parse()?);
    }
    Ok(())
}

/// The digest of what was written first that has one.
fn export(
    built: &Built<'_>,
    wanted: &[Export],
    attestations: &Attestations,
    arguments: &args::Build,
    world: &World<'_>,
) -> Result<Option<Digest>, Report> {
    let (outcome, names, registry) = (built.outcome, built.names, &built.request.registry);
    let is_attested = attestations.is_some();
    let mut digest = None;
    for one in wanted {
        let is_index = is_attested && one.needs_manifest();
        let image = match is_index {
            true => {
                let manifest = exports::manifest(one, &outcome.id, registry, world)?;
                Exported::Manifest(built.attest(&manifest, attestations, &one.texts, world)?)
            }
            false => Exported::Local(outcome.id),
        };
        let beside = match one.kind {
            ExportKind::Tar(_) | ExportKind::Local(_) if is_attested => {
                built.files(attestations, &one.prefix, world)?
            }
            _ => Vec::new(),
        };
        let written = Written { image, is_index, names, epoch: outcome.planned.pinned.recipe.epoch, beside };
        let mut stdout = std::io::stdout().lock();
        let made = exports::write(one, &written, &mut stdout, registry, world)?;
        if let (ExportKind::Image { push: true }, Some(made)) = (&one.kind, made) {
            match one.by_digest {
                true => registry::push(&made, &untagged(names, None), registry, world)?,
                false => registry::push(&made, names, registry, world)?,
            };
        }
        digest = digest.or(made);
    }
    if arguments.load {
        digest = digest.or(Some(load(built, world)?));
    }
    Ok(digest)
}

/// Hands the image to docker, or podman: the digest of its manifest.
fn load(built: &Built<'_>, world: &World<'_>) -> Result<Digest, Report> {
    let (names, registry) = (built.names, &built.request.registry);
    let docker: Export = "type=image,oci-mediatypes=false".parse()?;
    let made = exports::manifest(&docker, &built.outcome.id, registry, world)?;
    let program = outputs::load(&made, names, registry, world)?;
    world.events.note(&format!("loaded into {program}"));
    Ok(made)
}

/// The keys of buildx that say something without a builder.
fn metadata(
    built: &Built<'_>,
    digest: Option<&Digest>,
    wanted: &[Export],
    (docker, is_index): (&args::DockerBuild, bool),
    world: &World<'_>,
) -> Result<Vec<u8>, Report> {
    let outcome = built.outcome;
    let mut all = serde_json::Map::new();
    // As buildx: an index has no config.
    if !is_index {
        all.insert("containerimage.config.digest".to_owned(), json!(outcome.id));
    }
    all.insert("containerimage.digest".to_owned(), json!(digest.unwrap_or(&outcome.id)));
    if let Some(digest) = digest {
        let mut descriptor = registry::describe(digest, world)?;
        let one = wanted.iter().find(|one| one.needs_manifest());
        let texts = one.map(|one| one.texts.of_root(is_index).clone());
        descriptor.annotations = texts.unwrap_or_default();
        all.insert("containerimage.descriptor".to_owned(), json!(descriptor));
    }
    if !built.names.is_empty() {
        let is_by_digest = wanted.iter().any(|one| one.by_digest);
        let names = if is_by_digest { untagged(built.names, None) } else { built.names.to_vec() };
        let names: Vec<String> = names.iter().map(docker_name).collect();
        all.insert("image.name".to_owned(), json!(names.join(",")));
    }
    if wants_provenance(docker) {
        all.insert("buildx.build.provenance".to_owned(), built.metadata(world));
    }
    serde_json::to_vec_pretty(&all).map_err(|error| Failure::bug(format!("writing metadata: {error}")).into())
}

/// As buildx: unless `--provenance` or its variable says no.
fn wants_provenance(docker: &args::DockerBuild) -> bool {
    let is_off = |text: &str| matches!(text.to_ascii_lowercase().as_str(), "disabled" | "false" | "0" | "f");
    let variable = env::var("BUILDX_METADATA_PROVENANCE").is_ok_and(|text| is_off(&text));
    !variable && !docker.provenance.as_deref().is_some_and(is_off)
}

/// With what Docker leaves out, as buildx writes it.
fn docker_name(name: &Reference) -> String {
    Reference { repository: name.repository.normalised(), ..name.clone() }.to_string()
}

/// A build that fails leaves no id of another. A pipe, a device (/dev/stdout) and a link are only written to.
fn forget(path: &Path) -> Result<(), Failure> {
    if !fs::symlink_metadata(path).is_ok_and(|found| found.is_file()) {
        return Ok(());
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::world(format!("removing {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| Failure::world(format!("writing {}: {error}", path.display())))
}

fn shape(outcome: &Outcome, digest: Option<Digest>, names: &[Reference], seconds: f64) -> Shape {
    let steps = outcome.finished.steps.iter().map(|step| StepShape {
        name: step.name.clone(),
        cached: step.cached,
        seconds: step.wall.as_secs_f64(),
        why: step.miss.as_ref().map(ToString::to_string),
    });
    Shape {
        id: outcome.id.to_string(),
        digest: digest.map(|digest| digest.to_string()),
        references: names.iter().map(ToString::to_string).collect(),
        layers: outcome.finished.layers.iter().map(|layer| layer.diff_id.to_string()).collect(),
        size: outcome.finished.layers.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.tar_size)),
        steps: steps.collect(),
        findings: Vec::new(),
        seconds,
    }
}

/// `quiet`: the id alone.
fn text(shape: &Shape, quiet: Option<Digest>) -> String {
    if let Some(id) = quiet {
        return id.to_string();
    }
    let cached = shape.steps.iter().filter(|step| step.cached).count();
    let mut lines: Vec<String> = shape.references.clone();
    lines.push(shape.id.clone());
    let took = crate::render::text::seconds(shape.seconds);
    let size = crate::render::text::size(shape.size);
    let (layers, steps) = (shape.layers.len(), shape.steps.len());
    lines.push(format!("{layers} layers, {size} unpacked, {cached} of {steps} steps cached, {took}"));
    lines.join("\n")
}

fn way(arguments: &args::Build) -> Result<Way, Failure> {
    let docker = &arguments.docker_build;
    let mut allowed = Allowed::default();
    for text in docker.allow.iter().flat_map(|text| text.split(',')) {
        match text {
            "security.insecure" => allowed.insecure = true,
            "network.host" => allowed.host_network = true,
            other => {
                return Err(Failure::usage(format!("--allow {other} is not known"))
                    .hint("there are network.host and security.insecure"));
            }
        }
    }
    let network = docker.network.as_deref().map(|network| match network {
        "default" | "none" | "host" => Ok(network.to_owned()),
        other => {
            Err(Failure::usage(format!("--network {other} is not known")).hint("there are default, none and host"))
        }
    });
    Ok(Way {
        no_cache: arguments.no_cache,
        no_cache_stages: docker.no_cache_filter.iter().flat_map(|text| text.split(',')).map(str::to_owned).collect(),
        secrets: secrets(&docker.secrets, &docker.ssh)?,
        hosts: docker.add_host.iter().map(|text| host(text)).collect::<Result<_, _>>()?,
        network: network.transpose()?,
        allowed,
        shm: docker.shm_size.as_deref().map(shm).transpose()?,
        each: docker.ulimit.iter().map(|text| ulimit(text)).collect::<Result<_, _>>()?,
        private: docker.allow_private_add,
        debug_shell: docker.debug_shell,
        target: target_options(&arguments.project.target),
    })
}

/// `--secret` and `--ssh`.
pub fn secrets(values: &[String], agents: &[String]) -> Result<Secrets, Failure> {
    let mut secrets = Secrets::default();
    for text in values {
        let (id, value) = secret(text)?;
        secrets.values.insert(id, value);
    }
    for text in agents {
        let (id, socket) = agent(text)?;
        secrets.agents.insert(id, socket);
    }
    Ok(secrets)
}

fn shm(text: &str) -> Result<u64, Failure> {
    quantities::size(text).map_err(|error| Failure::usage(format!("--shm-size {text}: {error}")))
}

/// `NAME:ADDRESS` or `NAME=ADDRESS`.
fn host(text: &str) -> Result<(String, String), Failure> {
    let parts = text.split_once('=').or_else(|| text.split_once(':'));
    let wrong = || Failure::usage(format!("--add-host {text}: write NAME:ADDRESS"));
    let (name, address) = parts.ok_or_else(wrong)?;
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<std::net::IpAddr>() {
        Ok(address) if !name.is_empty() => Ok((name.to_owned(), address.to_string())),
        _ => Err(wrong().hint("the address is numbers, as 10.0.0.1; host-gateway is of docker's own network")),
    }
}

/// `id=NAME[,src=FILE|,env=VARIABLE]`; alone, the variable of that name, else the file.
fn secret(text: &str) -> Result<(String, Vec<u8>), Failure> {
    let wrong =
        |why: String| Failure::usage(format!("--secret: {why}")).hint("write id=NAME,src=FILE or id=NAME,env=VARIABLE");
    let (mut id, mut file, mut variable, mut kind) = (None, None, None, None);
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("id", value)) => id = Some(value),
            Some(("src" | "source", value)) => file = Some(value),
            Some(("env", value)) => variable = Some(value),
            Some(("type", value @ ("file" | "env"))) => kind = Some(value),
            Some((key, _)) => return Err(wrong(format!("'{key}=' is not known"))),
            // Whatever it is, it is not repeated: it may be the secret itself.
            None => return Err(wrong("a field is no key=value".to_owned())),
        }
    }
    let id = id.filter(|id| !id.is_empty()).ok_or_else(|| wrong("it has no id".to_owned()))?;
    if kind == Some("env") && variable.is_none() {
        variable = file.take();
    }
    let alone = file.is_none() && variable.is_none();
    if alone && env::var_os(id).is_some() {
        variable = Some(id);
    }
    let value = match variable {
        Some(name) => env::var(name)
            .map(String::into_bytes)
            .map_err(|_| wrong(format!("id={id}: the environment has no {name}")))?,
        None => bytes_of(id, file.unwrap_or(id))?,
    };
    if value.len() as u64 > LARGEST_SECRET {
        return Err(wrong(format!("id={id}: it has more than {LARGEST_SECRET} bytes")));
    }
    Ok((id.to_owned(), value))
}

fn bytes_of(id: &str, path: &str) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| Failure::usage(format!("--secret id={id}: reading {path}: {error}"));
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(LARGEST_SECRET + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// `default`, `NAME` or `NAME=SOCKET`.
fn agent(text: &str) -> Result<(String, PathBuf), Failure> {
    use std::os::unix::fs::FileTypeExt;
    let (id, path) = text.split_once('=').map_or((text, None), |(id, path)| (id, Some(PathBuf::from(path))));
    let path = path.or_else(|| env::var_os("SSH_AUTH_SOCK").map(PathBuf::from));
    let path = path.ok_or_else(|| {
        Failure::usage(format!("--ssh {id}: there is no agent: SSH_AUTH_SOCK is not set"))
            .hint("eval $(ssh-agent); ssh-add")
    })?;
    match fs::metadata(&path) {
        Ok(found) if found.file_type().is_socket() => Ok((id.to_owned(), path)),
        Ok(_) => Err(Failure::usage(format!("--ssh {id}: {} is no socket", path.display()))
            .hint("keys are given to an agent: ssh-add KEY, then --ssh default")),
        Err(error) => Err(Failure::usage(format!("--ssh {id}: {}: {error}", path.display()))),
    }
}
