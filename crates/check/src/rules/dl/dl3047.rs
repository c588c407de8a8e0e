//! DL3047: a progress bar is drawn by wget.

use corten_diagnostic::{RuleId, Severity};

use super::image::{is_debian, lowest};
use super::ran::{Plain, Ran};
use super::{behind_name, tell};
use crate::lint::{Base, Lint, Step};
use crate::rules::{Found, Initially, Rule, Run, safe, unsafe_fix};

pub(in crate::rules) const RULE: Rule = Rule {
    id: RuleId("DL3047"),
    name: "wget-progress",
    severity: Severity::Info,
    what: "A progress bar is drawn by wget.",
    why: "Without a terminal it writes a line for every 50 kB: the log of the build drowns in it.",
    bad: "FROM debian:12\n\
          RUN wget https://example.com/model.bin\n",
    good: "FROM debian:12\n\
          RUN wget --progress=dot:giga https://example.com/model.bin\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    // By stage: whether its RUNs up to here have installed wget.
    let mut installed: Vec<bool> = Vec::new();
    for step in &lint.steps {
        if step.from().is_some() {
            let below = lint.stage_of(step).and_then(|stage| match stage.base {
                Base::Stage(below) => installed.get(below),
                _ => None,
            });
            installed.push(below.copied().unwrap_or_default());
        }
        let Some(ran) = lint.ran_of(step) else { continue };
        let has_wget = ran.commands.iter().any(installs);
        installed.last_mut().into_iter().for_each(|installed| *installed |= has_wget);
        look(lint, step, ran, installed.last() == Some(&true), found);
    }
}

/// `installed`: wget came by a package, so that it is not busybox's, which does not know the option.
fn look(lint: &Lint<'_>, step: &Step<'_>, ran: &Ran, installed: bool, found: &mut Found) {
    let all: Vec<&Plain> = ran.commands.iter().filter(|command| is_loud(command)).collect();
    let Some(first) = all.first() else { return };
    let is_known = installed || lowest(lint, step).is_some_and(is_debian);
    let fix = behind_name(lint, &all, FLAG).and_then(|edits| match is_known {
        true => safe(format!("add {FLAG}"), edits),
        false => unsafe_fix(format!("add {FLAG}, which busybox's wget does not know"), edits),
    });
    let help = "write wget --progress=dot:giga, or -q or -nv";
    tell(lint, found, step, first.at.clone(), "wget fills the log with its progress", help, fix);
}

const FLAG: &str = "--progress=dot:giga";

fn installs(command: &Plain) -> bool {
    const INSTALLERS: [&str; 7] = ["apt-get", "apt", "apk", "yum", "dnf", "microdnf", "zypper"];
    INSTALLERS.contains(&command.name.as_str()) && command.argument(&["wget"]).is_some()
}

fn is_loud(command: &Plain) -> bool {
    let quiet = ["progress", "q", "quiet", "o", "output-file", "a", "append-output", "no-verbose"];
    command.name == "wget" && !command.has_flag(&quiet) && command.argument(&["-nv"]).is_none()
}
