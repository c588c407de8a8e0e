//! Steps as BuildKit names them: `[build 2/5] RUN make`.

use corten_plan::recipe::{Recipe, Stage, Step};

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
        Some(text) => joined(text),
        None => step.created_by.trim_end_matches(" # buildkit").to_owned(),
    };
    let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
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
    fn instructions_are_told_in_one_line() {
        assert_eq!(joined("run echo a && \\\n# why\n  echo b"), "RUN echo a &&   echo b");
        assert_eq!(joined("RUN    echo a   "), "RUN    echo a");
    }
}
