//! `corten doctor`.

use corten_diagnostic::Report;
use corten_flow::doctor::{Finding, Patient, State, examine};
use serde_json::json;

use super::result;
use crate::args::{self, Global};
use crate::render::text::{dim, green, one_line, red, yellow};
use crate::surroundings::Ground;

/// Looks whether all is there.
pub fn run(arguments: &args::Doctor, global: &Global) -> Result<u8, Report> {
    let ground = Ground::new(global)?;
    let findings = examine(&Patient {
        root: &arguments.root,
        store: &ground.home,
        auth: &ground.auth,
        client: arguments.network.then_some(&ground.client),
        indexes: &ground.indexes,
    });
    let shape = |one: &Finding| json!({"part": one.part, "state": one.state.name(), "what": one.what, "lost": one.lost, "hint": one.hint});
    let shape = json!({"findings": findings.iter().map(shape).collect::<Vec<_>>()});
    result(global.format, &shape, || findings.iter().map(text).collect::<Vec<_>>().join("\n"))?;
    Ok(u8::from(findings.iter().any(|one| one.state == State::Bad)))
}

fn text(one: &Finding) -> String {
    let word = format!("{:<7}", one.state.name());
    let state = match one.state {
        State::Good => green(&word),
        State::Warning => yellow(&word),
        State::Bad => red(&word),
    };
    let mut lines = vec![format!("{state}  {:<11}  {}", one.part, one_line(&one.what))];
    lines.extend(one.lost.as_ref().map(|lost| format!("{:22}{}", "", one_line(lost))));
    lines.extend(one.hint.as_ref().map(|hint| format!("{:22}{} {}", "", dim("hint:"), one_line(hint))));
    lines.join("\n")
}
