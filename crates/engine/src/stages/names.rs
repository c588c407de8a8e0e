//! Steps as BuildKit names them: `[build 2/5] RUN make`.

use corten_plan::recipe::{Action, Recipe, Stage, Step};

use super::means::StepId;

/// Letters of an instruction that are shown.
const SHOWN: usize = 400;

/// Stage, number among the stage's steps (FROM is the first), and the instruction in one line.
pub(super) fn step(dockerfile: &str, recipe: &Recipe, stage: &Stage, id: StepId, step: &Step) -> String {
    let (number, count) = (id.step + 2, stage.steps.len() + 1);
    let is_numbered = stage.name.bytes().all(|byte| byte.is_ascii_digit());
    let prefix = match (recipe.stages.len(), is_numbered) {
        (1, true) => String::new(),
        (_, true) => format!("stage-{} ", stage.name),
        (_, false) => format!("{} ", stage.name),
    };
    format!("[{prefix}{number}/{count}] {}", instruction(dockerfile, step))
}

fn instruction(dockerfile: &str, step: &Step) -> String {
    let text = match dockerfile.get(step.range.clone()).filter(|text| !text.trim().is_empty()) {
        Some(text) if matches!(step.action, Action::Copy(_)) => without_users(&joined(text)),
        Some(text) => joined(text),
        None => step.created_by.trim_end_matches(" # buildkit").to_owned(),
    };
    let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Addresses without the user and password that may stand in them.
fn without_users(text: &str) -> String {
    let mut parts = text.split("://");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|letter: char| "/?#\"',".contains(letter) || letter.is_whitespace()).unwrap_or(part.len());
        let (place, rest) = part.split_at(end);
        whole.push_str("://");
        whole.push_str(place.rsplit('@').next().unwrap_or_default());
        whole.push_str(rest);
    }
    whole
}

/// Continued lines as one, without comments between them.
fn joined(text: &str) -> String {
    let mut whole = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with('#') && !whole.is_empty() {
            continue;
        }
        let line = line.trim_end();
        whole.push_str(line.strip_suffix(['\\', '`']).unwrap_or(line));
    }
    let (keyword, rest) = whole.split_once(char::is_whitespace).unwrap_or((&whole, ""));
    format!("{} {rest}", keyword.to_ascii_uppercase()).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d10_passwords_of_addresses_are_not_told() {
        let told = without_users("ADD https://me:pw@a.example/x https://b.example/@y ssh://git@c.example /z");
        assert_eq!(told, "ADD https://a.example/x https://b.example/@y ssh://c.example /z");
    }

    #[test]
    fn instructions_are_told_in_one_line() {
        assert_eq!(joined("run echo a && \\\n# why\n  echo b"), "RUN echo a &&   echo b");
        assert_eq!(joined("RUN    echo a   "), "RUN    echo a");
    }
}
