//! ML157: a server for one's own desk.

use corten_diagnostic::{Fix, RuleId, Severity};
use corten_frontend::dockerfile::Command;

use super::start;
use crate::lint::{Lint, Step};
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML157"),
    name: "dev-server",
    severity: Severity::Warning,
    what: "The image starts a server as developers do.",
    why: "Servers for developing (--reload, flask run) watch files and run one request at a time; their debuggers run any code for whoever asks. Jupyter without a token does so by design. A server that listens on 127.0.0.1 is reached by nobody outside the container, whatever EXPOSE says.",
    bad: "FROM python:3.12-slim\nEXPOSE 8000\nUSER 1000\nCMD [\"uvicorn\", \"app:app\", \"--host\", \"0.0.0.0\", \"--reload\"]\n",
    good: "FROM python:3.12-slim\nEXPOSE 8000\nUSER 1000\nCMD [\"uvicorn\", \"app:app\", \"--host\", \"0.0.0.0\", \"--port\", \"8000\"]\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

fn run(lint: &Lint<'_>, found: &mut Found) {
    let Some(target) = lint.target().filter(|_| !lint.file.path().to_string_lossy().contains("devcontainer")) else {
        return;
    };
    let is_for_work = target.name.as_ref().is_some_and(|name| name.text.contains("dev") || name.text.contains("debug"));
    let Some(start) = start::of(lint, target).filter(|_| !is_for_work) else { return };
    let exposes = start::steps(lint, target).any(|step| matches!(step.command, Some(Command::Expose(_))));
    let said = said(&start, exposes);
    if let Some((message, help)) = said {
        let fix = mended(lint, start.step, help);
        found.fixed(lint.place(start.step.at()), message, help, fix);
    }
    let flags = ["FLASK_DEBUG", "DJANGO_DEBUG"];
    for one in lint.definitions().iter().filter(|one| flags.contains(&one.name.as_str())) {
        if one.value.as_deref().is_some_and(|value| ["1", "true", "True"].contains(&value)) {
            let message = format!("{} lets whoever asks run code", one.name);
            found.add(lint.place(one.name_at.clone()), message, "leave it out; set it where you develop");
        }
    }
}

/// What one word of the command line does: without it, or with another address.
fn mended(lint: &Lint<'_>, step: &Step<'_>, help: &str) -> Option<Fix> {
    let at = step.at();
    let text = lint.text(at.clone());
    let place = |old: &str| {
        let mut places = text.match_indices(old).map(|(found, _)| at.start + found..at.start + found + old.len());
        places.next().filter(|_| places.next().is_none())
    };
    if help == EVERYWHERE {
        let address = place("127.0.0.1").or_else(|| place("localhost"))?;
        return unsafe_fix("listen on 0.0.0.0", vec![lint.edit(address, "0.0.0.0")]);
    }
    let word = match step.exec() {
        Some(_) => place(", \"--reload\"").or_else(|| place(",\"--reload\""))?,
        None => place(" --reload ")
            .map(|at| at.start..at.end - 1)
            .or_else(|| place(" --reload").filter(|word| lint.text(word.end..at.end).trim().is_empty()))?,
    };
    unsafe_fix("leave --reload out", vec![lint.edit(word, "")])
}

const EVERYWHERE: &str = "listen on 0.0.0.0";

fn said(start: &start::Start<'_>, exposes: bool) -> Option<(String, &'static str)> {
    let has = |text: &str| start.words.iter().any(|word| word == text);
    let after =
        |first: &str, second: &str| start.words.windows(2).any(|two| two[0].ends_with(first) && two[1] == second);
    let is_jupyter = start.words.iter().any(|word| word.starts_with("jupyter"));
    let no_token = start.words.iter().any(|word| {
        ["--NotebookApp.token=", "--ServerApp.token=", "--IdentityProvider.token="]
            .iter()
            .any(|option| word.strip_prefix(option).is_some_and(|rest| rest.trim_matches(['\'', '"']).is_empty()))
    });
    let is_local = |word: &String| {
        ["127.0.0.1", "localhost", "--host=127.0.0.1", "--host=localhost"].contains(&word.as_str())
            || word.starts_with("127.0.0.1:")
            || word.starts_with("localhost:")
    };
    if has("--reload") {
        return Some(("--reload is for developing: it watches files and runs one worker".to_owned(), "leave it out"));
    }
    if after("flask", "run") || after("manage.py", "runserver") {
        return Some(("this server is for developing".to_owned(), "start gunicorn or uvicorn"));
    }
    if is_jupyter && no_token {
        return Some(("Jupyter without a token runs code for everybody".to_owned(), "leave the token as it is"));
    }
    (exposes && start.words.iter().any(is_local))
        .then(|| ("it listens on 127.0.0.1: nobody outside the container reaches it".to_owned(), EVERYWHERE))
}
