//! FromPlatformFlagConstDisallowed: `--platform=linux/amd64`.

use corten_diagnostic::{RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::lines;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};

pub(super) const RULE: Rule = Rule {
    id: RuleId("FromPlatformFlagConstDisallowed"),
    name: "from-platform-flag-const-disallowed",
    severity: Severity::Warning,
    what: "FROM --platform flag should not use a constant value.",
    why: "The stage is of that machine whatever is built: an image for arm64 gets programs of amd64. Whoever builds chooses by --platform; a stage that has to be of one machine says so in its name.",
    bad: "FROM --platform=linux/amd64 scratch AS base\n",
    good: "FROM scratch AS base\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for line in lines(lint) {
        let (Some(Command::From(from)), Some(seen)) = (&line.seen.command, &line.seen.from) else { continue };
        let Some(platform) = seen.platform.as_ref().filter(|platform| platform.is_constant) else { continue };
        let stage = from.name.as_ref().map_or("", |name| name.text.as_str());
        let Some(parts) = parts(&platform.value) else { continue };
        if parts.iter().any(|part| !part.is_empty() && stage.contains(part)) {
            continue;
        }
        let message = format!("FROM --platform flag should not use constant value {:?}", platform.value);
        let fix = line.without_flag("platform").and_then(|edit| unsafe_fix("leave the flag out", vec![edit]));
        found.fixed(line.at(&platform.word), message, "leave the flag out, and give --platform to the build", fix);
    }
}

/// Operating system and processor, as containerd reads and names them; none for what is no platform.
fn parts(text: &str) -> Option<[String; 2]> {
    let is_part = |part: &str| {
        !part.is_empty() && part.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-.".contains(letter))
    };
    let small = text.to_lowercase();
    let all: Vec<&str> = small.split('/').collect();
    if all.len() > 3 || !all.iter().all(|part| is_part(part)) {
        return None;
    }
    let processor = |name: &str| match name {
        "x86_64" | "x86-64" => "amd64".to_owned(),
        "aarch64" | "arm64" => "arm64".to_owned(),
        "i386" => "386".to_owned(),
        "armhf" | "armel" => "arm".to_owned(),
        other => other.to_owned(),
    };
    match all.as_slice() {
        ["linux" | "windows" | "freebsd" | "darwin"] => Some([all[0].to_owned(), String::new()]),
        [one] => Some(["linux".to_owned(), processor(one)]),
        [system, one, ..] => {
            let system = if *system == "macos" { "darwin" } else { system };
            Some([system.to_owned(), processor(one)])
        }
        [] => None,
    }
}
