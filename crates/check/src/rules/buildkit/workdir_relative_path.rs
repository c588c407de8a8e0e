//! WorkdirRelativePath: the first WORKDIR is relative.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::lines;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};

pub(super) const RULE: Rule = Rule {
    id: RuleId("WorkdirRelativePath"),
    name: "workdir-relative-path",
    severity: Severity::Warning,
    what: "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes.",
    why: "It is below the folder that the base image has set, which another version of it may set otherwise; then all files of the image lie elsewhere.",
    bad: "FROM scratch\nWORKDIR app\n",
    good: "FROM scratch\nWORKDIR /app\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for line in lines(lint).filter(|line| line.seen.is_needed) {
        let Some(folder) = line.seen.first_folder.as_ref().filter(|folder| !folder.starts_with('/')) else { continue };
        let message = format!("Relative workdir {folder:?} can have unexpected results if the base image changes");
        let written = match &line.seen.command {
            Some(Command::Workdir(word)) if !word.text.starts_with(['$', '"', '\'']) => Some(word.range.start),
            _ => None,
        };
        let fix = written.and_then(|at| unsafe_fix("begin it with /", vec![line.edit(at..at, "/")]));
        found.fixed(line.at(&line.instruction.name), message, "write the whole path, from / on", fix);
    }
}
