//! `corten build` of a Dockerfile.

use std::env;
use std::fs;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use corten_diagnostic::{Failure, Finding, Report};
use corten_flow::World;
use corten_flow::dockerfile::{
    Allowed, Attestations, Built, LARGEST_SECRET, Outcome, Request, Secrets, Way, build, verdict,
};
use corten_flow::exports::{self, Export, ExportKind, Exported};
use corten_flow::run::ulimit;
use corten_flow::{outputs, registry};
use corten_oci::{Digest, Reference};
use serde::Serialize;
use serde_json::json;

use super::build::name;
use super::docker_annotations::Annotations;
use super::docker_attest::attestations;
use super::docker_call::{self, Asked};
use super::result;
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
    let names = names(arguments, &wanted)?;
    let progress = Steps::new(global.progress, global.quiet, surroundings::draws(), docker.why);
    let outcome = build(request, &way, &mut std::io::stdin().lock(), &progress, world)?;
    let verdict = verdict(&outcome, world)?;
    verdict.findings().iter().for_each(|finding| say(&error::finding(finding)));
    verdict.require()?;
    outcome.name(&names, &outcome.id, world)?;
    let ended = world.now.saturating_add(i64::try_from(start.elapsed().as_secs()).unwrap_or_default());
    let built = Built { request, way: &way, outcome: &outcome, names: &names, times: (world.now, ended) };
    let attest = |manifest: &Digest| built.attest(manifest, &attestations, world);
    let attest = attestations.is_some().then_some(&attest as &dyn Fn(&Digest) -> Result<Digest, Report>);
    let digest = export(&outcome, &wanted, &names, arguments, request, attest, world)?;
    if let Some(index) = digest.filter(|_| attestations.is_some()) {
        outcome.name(&names, &index, world)?;
    }
    if let Some(file) = &docker.iidfile {
        write(file, outcome.id.to_string().as_bytes())?;
    }
    if let Some(file) = &docker.metadata_file {
        write(file, &metadata(&outcome, digest.as_ref(), &names, world)?)?;
    }
    if wanted.iter().any(Export::is_standard) {
        return Ok(0);
    }
    let findings = verdict.findings().to_vec();
    let shape = Shape { findings, ..shape(&outcome, digest, &names, start.elapsed().as_secs_f64()) };
    let quiet = global.quiet;
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
    let mut attestations = attestations(docker)?;
    if attestations.is_some() {
        attested_outputs(&mut wanted, arguments.load)?;
        (attestations.index, attestations.descriptor) = (annotations.index, annotations.descriptor);
    } else {
        annotations.without_index()?;
    }
    for one in &mut wanted {
        one.manifest.annotations.extend(annotations.manifest.clone());
    }
    if !annotations.manifest.is_empty() && !wanted.iter().any(Export::needs_manifest) {
        return Err(Failure::usage("--annotation: without an output nothing has a manifest")
            .hint("--push, or -o type=oci,dest=FILE")
            .into());
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
    tags.chain(others).collect()
}

/// Says of a manifest what is wanted: an index of both.
type Attest<'a> = &'a dyn Fn(&Digest) -> Result<Digest, Report>;

/// What is said about an image stands in an index, which not every output has. Without one, the store keeps it.
fn attested_outputs(wanted: &mut Vec<Export>, load: bool) -> Result<(), Failure> {
    let has_index =
        |one: &&Export| matches!(one.kind, ExportKind::Oci(_) | ExportKind::OciFolder(_) | ExportKind::Image { .. });
    if load || !wanted.iter().all(|one| has_index(&one)) {
        return Err(Failure::usage("--sbom, --provenance: docker's archives and plain files have no place for them")
            .hint("--push, or -o type=oci,dest=FILE; without an output they stay in the store with the image"));
    }
    if wanted.is_empty() {
        wanted.push("type=image".parse()?);
    }
    Ok(())
}

#[allow(clippy::too_many_arguments, reason = "what is known at the end")]
fn export(
    outcome: &Outcome,
    wanted: &[Export],
    names: &[Reference],
    arguments: &args::Build,
    request: &Request,
    attest: Option<Attest<'_>>,
    world: &World<'_>,
) -> Result<Option<Digest>, Report> {
    let epoch = outcome.planned.pinned.recipe.epoch;
    let mut digest = None;
    for one in wanted {
        let image = match attest.filter(|_| one.needs_manifest()) {
            Some(attest) => {
                Exported::Manifest(attest(&exports::manifest(one, &outcome.id, &request.registry, world)?)?)
            }
            None => Exported::Local(outcome.id),
        };
        let mut stdout = std::io::stdout().lock();
        let made = exports::write(one, image, names, epoch, &mut stdout, &request.registry, world)?;
        if let (ExportKind::Image { push: true }, Some(made)) = (&one.kind, made) {
            if names.is_empty() {
                return Err(Failure::usage("--push needs a name to push to").hint("-t REGISTRY/REPOSITORY:TAG").into());
            }
            registry::push(&made, names, &request.registry, world)?;
        }
        digest = digest.or(made);
    }
    if arguments.load {
        let docker: Export = "type=image,oci-mediatypes=false".parse()?;
        let mut nowhere = std::io::sink();
        let made =
            exports::write(&docker, Exported::Local(outcome.id), names, epoch, &mut nowhere, &request.registry, world)?;
        let made = made.ok_or_else(|| Failure::bug("an image to load has no manifest"))?;
        let program = outputs::load(&made, names, &request.registry, world)?;
        world.events.note(&format!("loaded into {program}"));
        digest = digest.or(Some(made));
    }
    Ok(digest)
}

/// The keys of buildx that say something without a builder.
fn metadata(
    outcome: &Outcome,
    digest: Option<&Digest>,
    names: &[Reference],
    world: &World<'_>,
) -> Result<Vec<u8>, Report> {
    let mut all = serde_json::Map::new();
    all.insert("containerimage.config.digest".to_owned(), json!(outcome.id));
    all.insert("containerimage.digest".to_owned(), json!(digest.unwrap_or(&outcome.id)));
    if let Some(digest) = digest {
        all.insert("containerimage.descriptor".to_owned(), json!(registry::describe(digest, world)?));
    }
    if !names.is_empty() {
        let names: Vec<String> = names.iter().map(docker_name).collect();
        all.insert("image.name".to_owned(), json!(names.join(",")));
    }
    serde_json::to_vec_pretty(&all).map_err(|error| Failure::bug(format!("writing metadata: {error}")).into())
}

/// With what Docker leaves out, as buildx writes it.
fn docker_name(name: &Reference) -> String {
    Reference { repository: name.repository.normalised(), ..name.clone() }.to_string()
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

fn text(shape: &Shape, quiet: bool) -> String {
    if quiet {
        return shape.id.clone();
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
    let mut secrets = Secrets::default();
    for text in &docker.secrets {
        let (id, value) = secret(text)?;
        secrets.values.insert(id, value);
    }
    for text in &docker.ssh {
        let (id, socket) = agent(text)?;
        secrets.agents.insert(id, socket);
    }
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
        secrets,
        hosts: docker.add_host.iter().map(|text| host(text)).collect::<Result<_, _>>()?,
        network: network.transpose()?,
        allowed,
        shm: docker.shm_size.as_deref().map(shm).transpose()?,
        each: docker.ulimit.iter().map(|text| ulimit(text)).collect::<Result<_, _>>()?,
        private: docker.allow_private_add,
        debug_shell: docker.debug_shell,
    })
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
