//! ML199: a cache mount that is not used.

use corten_diagnostic::{RuleId, Severity};

use super::pip;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, safe};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML199"),
    name: "cache-mount-unused",
    severity: Severity::Warning,
    what: "A RUN has a cache mount for pip, which is told not to use it.",
    why: "A cache mount keeps downloads out of the layer and makes the next build fast; --no-cache-dir keeps them out and makes it slow. With both, the mount does nothing. Guides that ask for --no-cache-dir everywhere were written before cache mounts. In CI a cache mount starts empty, since no registry carries it.",
    bad: "FROM python:3.12-slim\nRUN --mount=type=cache,target=/root/.cache/pip pip install --no-cache-dir flask==3.1.2\nUSER 1000\n",
    good: "FROM python:3.12-slim\nRUN --mount=type=cache,target=/root/.cache/pip pip install flask==3.1.2\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    for install in pip::installs(lint) {
        let (options, variable, folder): (&[&str], _, _) = match install.is_uv {
            true => (&["no-cache", "no-cache-dir", "n"], "UV_NO_CACHE", "uv"),
            false => (&["no-cache-dir"], "PIP_NO_CACHE_DIR", "pip"),
        };
        let option = options.iter().find_map(|option| Some((option, install.word_of(option)?)));
        let is_off = option.is_some() || pip::is_set(lint.definition(install.step, variable));
        if !is_off || !pip::has_cache(install.step, &[folder, ".cache"]) {
            continue;
        }
        let message = "the cache mount is not used: the cache is switched off";
        let word = option.map(|(_, word)| word).filter(|word| lint.stands(install.step, word));
        let edit = word.and_then(|word| lint.without_word(&word.at));
        let fix = edit.and_then(|edit| safe("use the cache", vec![edit]));
        let help = match option {
            Some((option, _)) => format!("leave --{option} out"),
            None => format!("leave {variable} out"),
        };
        found.fixed(lint.place(install.call.at()), message, help, fix);
    }
}
