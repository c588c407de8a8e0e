//! `corten check`.

use std::path::Path;

use corten_diagnostic::{Failure, Finding, Report};
use corten_flow::build::{BuildOptions, build};
use corten_flow::readiness::{self, Answer, Readiness};
use corten_flow::{World, check, dockerfile};
use serde::Serialize;

use super::docker::{given, only_native};
use super::{plan_options, registry_options, result};
use crate::args::{self, Format, FrontendArgument};
use crate::render::text::{bold, green, one_line, red, yellow};
use crate::render::{error, say};

/// The object of `--format json`.
#[derive(Serialize)]
struct Shape<'a> {
    subject: &'a str,
    passed: bool,
    points: Vec<PointShape<'a>>,
    findings: &'a [Finding],
}

#[derive(Serialize)]
struct PointShape<'a> {
    point: &'a str,
    asks: &'a str,
    answer: &'a str,
    evidence: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<&'a str>,
    denied: bool,
}

/// Answers the checklist; status 1 where the policy denies what was found.
pub fn run(arguments: &args::Check, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let readiness = ready(arguments, world)?;
    if format == Format::Text {
        readiness.verdict.findings().iter().for_each(|finding| say(&error::finding(finding)));
    }
    result(format, &shape(&readiness), || text(&readiness))?;
    Ok(u8::from(!readiness.passed()))
}

fn ready(arguments: &args::Check, world: &World<'_>) -> Result<Readiness, Report> {
    let folder = &arguments.project.folder;
    let registry = registry_options(&arguments.project.registry)?;
    if !folder.is_dir() {
        let name = folder.to_str().ok_or_else(|| Failure::usage("the name of the image is no text"))?;
        if arguments.build || is_path(folder) {
            return Err(Failure::usage(format!("there is no folder {name}"))
                .hint("give the folder of a project, or the name of an image: corten check NAME:VERSION")
                .into());
        }
        only_folders(arguments, name)?;
        return readiness::image(name, arguments.strict, &registry, world);
    }
    let request =
        dockerfile::Request { context: folder.to_string_lossy().into_owned(), registry, ..Default::default() };
    let frontend = arguments.project.frontend.map(FrontendArgument::meant);
    let is_dockerfile = dockerfile::path(&request, frontend, world)? == dockerfile::Path::Dockerfile;
    if is_dockerfile {
        only_native(&arguments.project)?;
        only_planned(arguments)?;
    }
    match (is_dockerfile, arguments.build) {
        (false, false) => readiness::native(folder, &plan_options(&arguments.project)?, arguments.strict, world),
        (false, true) => {
            let options = BuildOptions { plan: plan_options(&arguments.project)?, no_cache: false };
            let outcome = build(folder, &options, world)?;
            let verdict = check::verdict(&outcome, world)?;
            readiness::built(&outcome, verdict.findings().to_vec(), arguments.strict)
        }
        (true, false) => readiness::dockerfile(folder, arguments.strict, world),
        (true, true) => Err(Failure::usage("a Dockerfile's image is checked by its name, once it is built")
            .hint("corten build -t NAME:VERSION . && corten check NAME:VERSION")
            .into()),
    }
}

/// The first flag that was given and says what the image is to run on.
fn target(arguments: &args::Check) -> Option<&'static str> {
    let target = &arguments.project.target;
    target.driver.is_some().then_some("--driver").or_else(|| (!target.gpu.is_empty()).then_some("--gpu"))
}

/// Refuses flags that say nothing of an image that is there.
fn only_folders(arguments: &args::Check, name: &str) -> Result<(), Failure> {
    let wrong = |flag| Failure::usage(format!("{flag} is for folders, and {name} is the name of an image"));
    match (given(&arguments.project), target(arguments)) {
        (None, None) => Ok(()),
        (None, Some(flag)) => Err(wrong(flag).hint(format!("corten gpu check {name} says whether its CUDA fits"))),
        (Some(flag), _) => Err(wrong(flag).hint("give the folder of a project: corten check path/to/project")),
    }
}

/// Which libraries there will be is only known from a lock.
fn only_planned(arguments: &args::Check) -> Result<(), Failure> {
    match target(arguments) {
        None => Ok(()),
        Some(flag) => Err(Failure::usage(format!(
            "{flag}: a Dockerfile is read and not built here, so that nothing is known of its libraries"
        ))
        .hint("corten build -t NAME:VERSION . && corten gpu check NAME:VERSION")),
    }
}

/// `./x`, `/x` and `x/` name folders alone.
fn is_path(folder: &Path) -> bool {
    folder.to_string_lossy().starts_with(['.', '/']) || folder.to_string_lossy().ends_with('/')
}

fn shape(readiness: &Readiness) -> Shape<'_> {
    let points = readiness.points.iter().map(|point| PointShape {
        point: point.asked.name,
        asks: point.asked.sentence,
        answer: match point.answer {
            Answer::Yes => "yes",
            Answer::No => "no",
            Answer::Unknown => "unknown",
        },
        evidence: &point.evidence,
        mend: point.mend.as_deref(),
        denied: point.denied,
    });
    Shape {
        subject: &readiness.subject,
        passed: readiness.passed(),
        points: points.collect(),
        findings: readiness.verdict.findings(),
    }
}

/// A line for each point, below it what mends it.
fn text(readiness: &Readiness) -> String {
    let mut text = format!("{}\n", bold(&readiness.subject));
    for point in &readiness.points {
        let answer = match point.answer {
            Answer::Yes => green(&format!("{:<13}", "yes")),
            Answer::No => red(&format!("{:<13}", "no")),
            Answer::Unknown => yellow(&format!("{:<13}", "not yet known")),
        };
        let denied = if point.denied { " (denied)" } else { "" };
        text.push_str(&format!("{:>9}  {answer}  {}{denied}\n", point.asked.name, one_line(&point.evidence)));
        if let Some(mend) = point.mend.as_ref().filter(|_| point.answer != Answer::Yes) {
            text.push_str(&format!("{:26}> {}\n", "", one_line(mend)));
        }
    }
    text + &summary(readiness)
}

fn summary(readiness: &Readiness) -> String {
    let count = |answer: Answer| readiness.points.iter().filter(|point| point.answer == answer).count();
    let denied = readiness.points.iter().filter(|point| point.denied).count();
    let end = match (readiness.passed(), denied) {
        (true, _) => "the policy lets it pass".to_owned(),
        (false, 0) => format!("{} findings denied by the policy", readiness.verdict.denied().len()),
        (false, points) => format!("{points} denied by the policy"),
    };
    format!("{} yes, {} no, {} not yet known: {end}", count(Answer::Yes), count(Answer::No), count(Answer::Unknown))
}
