//! ML155: a health check that cannot work.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::{Command, Line};

use super::images::{self, Image};
use super::{pip, start, tables};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML155"),
    name: "healthcheck-tool",
    severity: Severity::Warning,
    what: "HEALTHCHECK starts a program that the image does not have, or gives a model no time to load.",
    why: "Without curl the check always fails, and the container is killed again and again. Slim images have neither curl nor wget; Python is there: python -c \"import urllib.request …\". Without --start-period, three failures in 90 seconds are the end of a model that loads for two minutes. Shell form is right here: `|| exit 1` needs a shell (hadolint's DL3025 is wrong about it).",
    bad: "FROM python:3.12-slim\nHEALTHCHECK CMD curl -f http://127.0.0.1:8000/ || exit 1\nUSER 1000\n",
    good: "FROM python:3.12-slim\nHEALTHCHECK CMD python -c \"import urllib.request as r; r.urlopen('http://127.0.0.1:8000/')\"\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let Some(target) = lint.target() else { return };
    let last = start::steps(lint, target).filter(|step| matches!(step.command, Some(Command::Healthcheck(_)))).last();
    let Some((step, Some(Command::Healthcheck(check)))) = last.map(|step| (step, step.command.as_ref())) else {
        return;
    };
    let image = images::root(lint, target);
    for program in ["curl", "wget"] {
        let is_called = match &check.command {
            Some(Line::Exec(words)) => words.first().is_some_and(|word| word == program),
            Some(Line::Shell(_)) => {
                step.script.as_ref().is_some_and(|script| script.calls().iter().any(|call| call.is(program)))
            }
            None => false,
        };
        if is_called && image.as_ref().is_some_and(|image| lacks(image, program)) && !installs(lint, program) {
            let name = image.as_ref().map_or("the image", |image| image.name.as_str());
            let message = format!("{program} is not in {name}, and nothing installs it: the check always fails");
            let help =
                "ask with what is there: python -c \"import urllib.request as r; r.urlopen('http://127.0.0.1:PORT/')\"";
            found.add(lint.place(step.at()), message, help);
        }
    }
    let heavy = |install: &pip::Install<'_>| install.packages.iter().any(|one| tables::is_heavy(&one.name));
    if check.command.is_some() && check.start_period.is_none() && pip::installs(lint).iter().any(heavy) {
        let message = "a model may load longer than the check waits: 3 times 30 seconds";
        found.add(lint.place(step.at()), message, "add --start-period=5m, or what your model needs");
    }
}

/// Images that are known to come without it: those of Python alone have both, Alpine has Busybox's wget.
fn lacks(image: &Image<'_>, program: &str) -> bool {
    if image.is_musl() {
        return program == "curl";
    }
    let is_bare = ["debian", "ubuntu"].contains(&image.base_name()) || image.repository.ends_with("nvidia/cuda");
    is_bare || image.words().any(|word| word == "slim") || image.repository.contains("distroless")
}

fn installs(lint: &Lint<'_>, program: &str) -> bool {
    let is_it = |word: &crate::shell::Word| word.shown().split(['=', '~', '<']).next() == Some(program);
    let manager = ["apt-get", "apt", "apk", "dnf", "yum", "microdnf", "conda", "mamba", "zypper"];
    let copies = |text: &str| text.starts_with("COPY") && text.contains(program);
    lint.calls().any(|(_, call)| call.is_any(&manager) && call.arguments().iter().any(is_it))
        || lint.steps.iter().any(|step| copies(&step.line().text))
}
