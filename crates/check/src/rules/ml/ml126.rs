//! ML126: packages from whichever index has the higher version.

use corten_diagnostic::{Fix, RuleId, Severity};

use super::pip;
use crate::lint::DefinitionKind;
use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML126"),
    name: "extra-index",
    severity: Severity::Warning,
    what: "Packages come from several indexes, whichever has the higher version.",
    why: "Of several indexes, pip asks all and takes the highest version, wherever it is: whoever puts a package of your private name on PyPI, with a higher version, is installed (dependency confusion). One index that has everything, or uv, which takes a name from the first index that knows it, cannot be fooled so. For torch's wheels, --index-url of download.pytorch.org in a command of its own does it.",
    bad: "FROM python:3.12-slim\nRUN pip install --no-cache-dir --extra-index-url https://pypi.example.com/simple ours==1.2\nUSER 1000\n",
    good: "FROM python:3.12-slim\nRUN pip install --no-cache-dir --index-url https://pypi.example.com/simple ours==1.2\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let help = "take everything from one index (--index-url), or torch's wheels by a command of their own";
    for install in pip::installs(lint) {
        let is_unsafe = |(value, _): (&str, _)| value.starts_with("unsafe");
        let (name, asks_all) = match install.is_uv {
            true => ("index-strategy", install.values("index-strategy").any(is_unsafe)),
            false => ("extra-index-url", install.has("extra-index-url")),
        };
        let word = install.values(name).next().map(|(_, word)| word.at.clone());
        if let (true, Some(at)) = (asks_all, word) {
            let message = "packages come from whichever index has the higher version";
            found.fixed(lint.place(at), message, help, only_index(lint, &install));
        }
    }
    for definition in lint.definitions().iter().filter(|one| one.name == "PIP_EXTRA_INDEX_URL") {
        if definition.kind == DefinitionKind::Env {
            let at = lint.place(definition.name_at.clone());
            found.add(at, "packages come from whichever index has the higher version", help);
        }
    }
}

/// The other index alone: it has to have everything.
fn only_index(lint: &Lint<'_>, install: &pip::Install<'_>) -> Option<Fix> {
    const EXTRA: &str = "--extra-index-url";
    if install.is_uv || install.has("index-url") || install.step.exec().is_some() {
        return None;
    }
    let mut words = install.call.arguments().iter().filter(|word| word.known_start().starts_with(EXTRA));
    let (Some(word), None) = (words.next(), words.next()) else { return None };
    let at = word.at.start..word.at.start + EXTRA.len();
    let is_as_written = lint.text(at.clone()) == EXTRA;
    is_as_written.then(|| unsafe_fix("take everything from that index", vec![lint.edit(at, "--index-url")])).flatten()
}
