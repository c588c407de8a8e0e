//! ML144: a secret that a layer keeps.

use corten_diagnostic::{RuleId, Severity};
use std::ops::Range;

use corten_plan::recipe::{Mount, MountKind};

use super::{ordinary_runs, pip};
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};
use crate::shell::{Call, CommandKind, Redirect, Redirection, Script, Visited};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML144"),
    name: "secret-persisted",
    severity: Severity::Error,
    what: "A RUN writes what a secret mount gives it into a file of the layer.",
    why: "The mount leaves no trace, the copy does: everybody who has the image has the secret. Let the program read the mount itself, or remove the file in the same RUN.",
    bad: "FROM python:3.12-slim\nRUN --mount=type=secret,id=netrc cp /run/secrets/netrc /root/.netrc && pip install --no-cache-dir ours==1.2\nUSER 1000\n",
    good: "FROM python:3.12-slim\nRUN --mount=type=secret,id=netrc,target=/root/.netrc pip install --no-cache-dir ours==1.2\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for (step, script) in ordinary_runs(lint) {
        let mounts = pip::mounts(step);
        let secrets: Vec<Secret> = mounts.iter().filter_map(Secret::of).collect();
        // What lies under another mount is in no layer.
        let others: Vec<&str> = mounts.iter().filter_map(|mount| mount.target.as_deref()).collect();
        let is_kept = |path: &str| !path.starts_with("/dev/") && !others.iter().any(|other| path.starts_with(other));
        let calls = script.calls();
        for secret in &secrets {
            let written = calls.iter().find_map(|call| secret.written(call)).or_else(|| redirected(script, secret));
            let Some((at, file)) = written.filter(|(_, file)| is_kept(file)) else { continue };
            let removed = calls.iter().any(|call| call.is("rm") && call.operands().any(|word| word.shown() == file));
            if !removed {
                let message = format!("the secret {} is kept in {file}, which the layer holds", secret.id);
                found.add(
                    lint.place(at),
                    message,
                    format!("mount it there: --mount=type=secret,id={},target={file}", secret.id),
                );
            }
        }
    }
}

struct Secret {
    id: String,
    path: String,
    variable: Option<String>,
}

impl Secret {
    fn of(mount: &Mount) -> Option<Self> {
        let is_secret = mount.kind == MountKind::Secret;
        let named = mount.target.as_deref().and_then(|target| target.rsplit('/').next());
        let id = mount.id.clone().or(mount.source.clone()).or(named.map(str::to_owned)).filter(|_| is_secret)?;
        let path = mount.target.clone().unwrap_or_else(|| format!("/run/secrets/{id}"));
        Some(Self { id, path, variable: mount.env.clone() })
    }

    fn is_in(&self, text: &str) -> bool {
        let variable = self.variable.as_ref();
        text.contains(&self.path)
            || variable.is_some_and(|name| text.contains(&format!("${name}")) || text.contains(&format!("${{{name}}}")))
    }

    /// The file that a program keeps it in.
    fn written(&self, call: &Call<'_>) -> Option<(Range<usize>, String)> {
        let has = call.arguments().iter().any(|word| self.is_in(&word.raw));
        let last = || call.operands().last().map(|word| word.shown().into_owned());
        let file = match call.name.as_ref() {
            "cp" | "mv" | "install" | "ln" => last().filter(|file| *file != self.path)?,
            "git" if call.verb_is("config") => "~/.gitconfig".to_owned(),
            "pip" | "pip3" if call.verb_is("config") => "pip.conf".to_owned(),
            "npm" if call.has_any(&["config", "set"]) => "~/.npmrc".to_owned(),
            "poetry" if call.verb_is("config") => "poetry's auth.toml".to_owned(),
            _ => return None,
        };
        has.then(|| (call.at(), file))
    }
}

/// `cat SECRET > FILE`, `echo "$SECRET" | tee FILE`.
fn redirected(script: &Script, secret: &Secret) -> Option<(Range<usize>, String)> {
    let mut found = None;
    script.visit(&mut |visited, _| {
        let Visited::Item(item) = visited else { return };
        let commands = &item.pipeline.commands;
        let names = |command: &crate::shell::Command| match &command.kind {
            CommandKind::Simple(simple) => simple.words.iter().any(|word| secret.is_in(&word.raw)),
            _ => false,
        };
        if found.is_some() || !commands.iter().any(names) {
            return;
        }
        for command in commands {
            let out = |one: &&Redirection| matches!(one.operator, Redirect::Out | Redirect::Append | Redirect::Clobber);
            let to = command.redirections.iter().find(out).filter(|one| !matches!(one.descriptor, Some(2)));
            let tee = match &command.kind {
                CommandKind::Simple(simple) if simple.name().as_deref() == Some("tee") => simple.words.last(),
                _ => None,
            };
            if let Some(word) = to.map(|one| &one.target).or(tee) {
                found = Some((item.pipeline.at.clone(), word.shown().into_owned()));
            }
        }
    });
    found
}
