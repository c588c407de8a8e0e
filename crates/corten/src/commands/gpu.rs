//! `corten gpu`.

use std::path::PathBuf;

use corten_check::cuda::{Answer, Code, Contents, Reason, Target, dotted, minimum_driver, toolkit_driver};
use corten_diagnostic::Report;
use corten_flow::World;
use corten_flow::gpu::{self, CheckOptions, Checked, Host, TargetOptions};
use serde_json::{Value, json};

use super::{plan_options_for, result};
use crate::args::{self, Format, GpuCheck, GpuCommand, HostArguments, ProjectArguments, TargetArguments};
use crate::render::text::{bold, dim, green, lines, one_line, red, safe, size, width, yellow};

/// Says what this machine has, or whether something fits.
pub fn run(arguments: &args::Gpu, format: Format, world: &World<'_>) -> Result<u8, Report> {
    match &arguments.command {
        None => {
            let host = host(&arguments.host);
            result(format, &of_host(&host), || text_of_host(&host))?;
            Ok(0)
        }
        Some(GpuCommand::Check(check)) => run_check(check, &arguments.host, format, world),
    }
}

/// On this machine, `nvidia-smi` is asked, too.
fn host(arguments: &HostArguments) -> Host {
    let is_here = arguments.root.as_os_str() == "/";
    let program = is_here.then(|| crate::surroundings::program("nvidia-smi")).flatten();
    gpu::host(&arguments.root, program.as_deref())
}

fn of_host(host: &Host) -> Value {
    let gpus =
        host.gpus.iter().map(|gpu| json!({"name": gpu.name, "capability": gpu.capability, "address": gpu.address}));
    json!({"driver": host.driver, "gpus": gpus.collect::<Vec<_>>(), "sources": host.sources})
}

fn text_of_host(host: &Host) -> String {
    if host.driver.is_none() && host.gpus.is_empty() {
        return "no GPU of NVIDIA and no driver on this machine\n`corten gpu check --driver VERSION --gpu NAME` judges for another".to_owned();
    }
    let mut text = vec![format!("driver  {}", host.driver.as_deref().unwrap_or("not known"))];
    for gpu in &host.gpus {
        let capability = gpu
            .capability
            .as_deref()
            .map_or("compute capability not known".to_owned(), |capability| format!("compute capability {capability}"));
        text.push(format!("GPU     {}, {capability}", one_line(&gpu.name)));
    }
    if host.gpus.is_empty() {
        text.push("GPU     none is seen".to_owned());
    }
    text.push(dim(&format!("        of {}", host.sources.join(", "))));
    text.join("\n")
}

fn run_check(
    arguments: &GpuCheck,
    host_arguments: &HostArguments,
    format: Format,
    world: &World<'_>,
) -> Result<u8, Report> {
    let target = target(&arguments.target, || host(host_arguments));
    let platform =
        if arguments.platform.is_empty() { vec!["linux/amd64".to_owned()] } else { arguments.platform.clone() };
    let project = ProjectArguments {
        folder: PathBuf::from(&arguments.subject),
        groups: arguments.groups.clone(),
        extras: arguments.extras.clone(),
        frontend: None,
        platform,
        locked: false,
        frozen: false,
        explain_settings: false,
        target: arguments.target.clone(),
        registry: arguments.registry.clone(),
    };
    let options = CheckOptions {
        subject: &arguments.subject,
        plan: plan_options_for(&project, target)?,
        platforms: arguments.platform.clone(),
        remote: arguments.remote,
    };
    let (target, checked) = gpu::check(&options, world)?;
    let fits = checked.iter().all(|one| one.fit.answer != Answer::No);
    let shape = json!({
        "subject": arguments.subject,
        "fits": fits,
        "target": of_target(&target),
        "platforms": checked.iter().map(of_platform).collect::<Vec<_>>(),
    });
    result(format, &shape, || checked.iter().map(|one| text(one, &target)).collect::<Vec<_>>().join("\n\n"))?;
    Ok(u8::from(!fits))
}

/// What was typed, and what this machine has, where not all was typed.
pub fn target(typed: &TargetArguments, host: impl FnOnce() -> Host) -> TargetOptions {
    let host = if typed.driver.is_none() || typed.gpu.is_empty() { host() } else { Host::default() };
    TargetOptions { driver: typed.driver.clone(), gpus: typed.gpu.clone(), host }
}

fn of_target(target: &Target) -> Value {
    let gpus = target.gpus.iter().map(|gpu| {
        json!({"name": gpu.name, "capability": dotted(gpu.capability), "class": gpu.class.map(|class| class.name())})
    });
    json!({
        "driver": target.driver.as_ref().map(ToString::to_string),
        "gpus": gpus.collect::<Vec<_>>(),
        "without_gpu": target.without_gpu,
    })
}

fn of_platform(checked: &Checked) -> Value {
    let Contents { runtimes, code, compat, copies, cpu_only, .. } = &checked.contents;
    let list = |all: &[corten_elf::GpuArchitecture]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    let of_code = |code: &Code| json!({"package": code.package, "file": code.file, "cubins": list(&code.cubins), "ptx": list(&code.ptx), "source": code.source});
    let of_reason = |reason: &Reason| json!({"rule": reason.rule, "answer": reason.answer.name(), "message": reason.what, "evidence": reason.evidence, "change": reason.change});
    let (least, own) = drivers(&checked.contents);
    json!({
        "platform": checked.platform,
        "answer": checked.fit.answer.name(),
        "reasons": checked.fit.reasons.iter().map(of_reason).collect::<Vec<_>>(),
        "cuda": runtimes.iter().map(|one| json!({"version": one.cuda.to_string(), "by": one.by, "base": one.of_base, "libraries": one.is_there})).collect::<Vec<_>>(),
        "minimum_driver": least,
        "toolkit_driver": own,
        "code": code.iter().map(of_code).collect::<Vec<_>>(),
        "compat": compat.as_ref().map(|compat| json!({"driver": compat.driver.to_string(), "path": compat.path})),
        "copies": copies.as_ref().map(|copies| json!({"bytes": copies.bytes, "examples": copies.examples})),
        "without_cuda": cpu_only,
        "cuda_bytes": checked.contents.cuda_bytes(),
    })
}

/// The oldest driver that will do, and the one that all features take.
fn drivers(contents: &Contents) -> (Option<String>, Option<String>) {
    let Some(newest) = contents.newest() else { return (None, None) };
    let own = toolkit_driver(contents.of_major(newest.major)).map(ToString::to_string);
    (minimum_driver(newest).map(|(least, _)| least.to_string()), own)
}

fn text(checked: &Checked, target: &Target) -> String {
    let mut parts = vec![bold(&verdict(checked, target))];
    parts.extend(checked.fit.reasons.iter().map(reason));
    parts.push(summary(&checked.contents));
    parts.join("\n")
}

/// The answer in one line.
fn verdict(checked: &Checked, target: &Target) -> String {
    let platform = &checked.platform;
    if checked.contents.is_empty() && checked.contents.cpu_only.is_empty() {
        return format!("{platform}: nothing here uses CUDA");
    }
    let gpus: Vec<&str> = target.gpus.iter().map(|gpu| gpu.name.as_str()).collect();
    let on = match (&target.driver, gpus.is_empty(), target.without_gpu) {
        (_, _, true) => "processors alone".to_owned(),
        (Some(driver), false, _) => format!("{} with driver {driver}", gpus.join(", ")),
        (Some(driver), true, _) => format!("driver {driver}"),
        (None, false, _) => gpus.join(", "),
        (None, true, _) => return format!("{platform}: no driver and no GPU is named: what it needs"),
    };
    match checked.fit.answer {
        Answer::Fits => format!("{platform}: it runs on {on}"),
        Answer::Limited => format!("{platform}: it runs on {on}, but"),
        Answer::Unknown => format!("{platform}: whether it runs on {on} is not known"),
        Answer::No => format!("{platform}: it does not run on {on}"),
    }
}

fn reason(reason: &Reason) -> String {
    let word = match reason.answer {
        Answer::Fits => green("ok     "),
        Answer::Limited => yellow("limited"),
        Answer::Unknown => yellow("unknown"),
        Answer::No => red("no     "),
    };
    let below = |prefix: &str, text: &str| -> Vec<String> {
        let wide = width().saturating_sub(14).max(40);
        let all = lines(&one_line(text), wide);
        all.into_iter()
            .enumerate()
            .map(|(at, line)| {
                if at == 0 {
                    format!("         {prefix}{line}")
                } else {
                    format!("         {:1$}{line}", "", prefix.len())
                }
            })
            .collect()
    };
    let mut text = vec![format!("{word}  {} {}", safe(&one_line(&reason.what)), dim(&format!("[{}]", reason.rule)))];
    text.extend(reason.evidence.iter().flat_map(|line| below("", line)).map(|line| dim(&line)));
    text.extend(reason.change.iter().flat_map(|line| below("try: ", line)));
    text.join("\n")
}

/// What it brings and needs, in a few lines.
fn summary(contents: &Contents) -> String {
    let mut text = Vec::new();
    let runtimes = contents.runtimes.iter().map(|one| format!("{} of {}", one.cuda, one.by)).collect::<Vec<_>>();
    if !runtimes.is_empty() {
        text.push(format!("CUDA     {}", safe(&runtimes.join(", "))));
    }
    if let (Some(least), own) = drivers(contents) {
        let own = own
            .filter(|own| *own != least)
            .map(|own| format!("; {own} or later for PTX and all features"))
            .unwrap_or_default();
        text.push(format!("driver   {least} or later{own}"));
    }
    if let Some(compat) = &contents.compat {
        text.push(format!("compat   driver {} in {}", compat.driver, safe(&compat.path)));
    }
    let own = contents.code.iter().filter(|code| !corten_check::cuda::is_of_nvidia(&code.package)).collect::<Vec<_>>();
    const SHOWN: usize = 8;
    for code in own.iter().take(SHOWN) {
        let list = code
            .cubins
            .iter()
            .map(|one| format!("sm_{one}"))
            .chain(code.ptx.iter().map(|one| format!("compute_{one}")));
        let of = code.file.as_deref().map_or(code.package.clone(), |file| {
            format!("{} {}", code.package, file.rsplit('/').next().unwrap_or(file))
        });
        text.push(format!("code     {}: {}", safe(&of), list.collect::<Vec<_>>().join(" ")));
    }
    if own.len() > SHOWN {
        text.push(format!("         and {} more libraries; --format json lists all", own.len() - SHOWN));
    }
    if contents.cuda_bytes() > 0 {
        text.push(format!("size     {} of wheels are there for CUDA alone", size(contents.cuda_bytes())));
    }
    text.extend(
        contents
            .cpu_only
            .iter()
            .map(|package| format!("without  {}: its wheel for this platform uses no GPU", safe(package))),
    );
    text.join("\n")
}
