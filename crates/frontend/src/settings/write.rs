//! Writing settings down: the text of corten.toml, or of `[tool.corten]` behind what pyproject.toml already says.
//!
//! What is written is text among the user's own, so nothing that was there moves: a section goes to the end, and the old
//! one goes out line by line. Both are read again before they are handed on. File names of strangers' projects stand in
//! comments; they cannot end one.

use serde_json::Value;
use toml::Table;

use super::keys::SETTINGS;

/// One setting to write, or to propose as a comment.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// One of the settings' keys.
    pub key: &'static str,
    /// What it is to be.
    pub value: Value,
    /// Only proposed: a comment.
    pub proposed: bool,
    /// What it is known from: comments above it.
    pub why: Vec<String>,
}

/// The settings as text. `section`: below a header, as pyproject.toml has them.
pub fn settings_text(head: &[String], lines: &[Line], section: bool) -> String {
    let mut text = String::new();
    if section {
        text.push_str("[tool.corten]\n");
    }
    head.iter().for_each(|line| push_comment(&mut text, line));
    for line in lines {
        line.why.iter().for_each(|why| push_comment(&mut text, why));
        let mark = if line.proposed { "# " } else { "" };
        text.push_str(&format!("{mark}{} = {}\n", line.key, inline(&line.value)));
    }
    debug_assert!(lines.iter().all(|line| SETTINGS.iter().any(|key| key.name == line.key)), "{lines:?}");
    text
}

/// As TOML, on one line: a string of JSON is a basic string of TOML but for DEL.
pub(super) fn inline(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(table) => {
            let bare = |key: &str| {
                !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            };
            let name = |key: &String| if bare(key) { key.clone() } else { inline(&Value::from(key.as_str())) };
            let pairs = table.iter().map(|(key, value)| format!("{} = {}", name(key), inline(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string().replace('\u{7f}', "\\u007f"),
    }
}

/// A comment is one line, whatever the text holds.
fn push_comment(text: &mut String, comment: &str) {
    let plain: String = comment.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    text.push_str(&format!("# {plain}\n"));
}

/// pyproject.toml with a section at its end; none where it has a `tool` of its own that no section can be added to.
pub fn with_section(pyproject: &str, section: &str) -> Option<String> {
    let gap = match pyproject {
        "" => "",
        text if text.ends_with("\n\n") => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    let text = format!("{pyproject}{gap}{section}");
    let (before, mut after) = (table(pyproject)?, table(&text)?);
    take_settings(&mut after)?;
    (before == after).then_some(text)
}

/// pyproject.toml without `[tool.corten]`; none where its lines cannot be told from others.
pub fn without_section(pyproject: &str) -> Option<String> {
    let mut kept: Vec<&str> = Vec::new();
    let mut gone: Vec<&str> = Vec::new();
    for line in pyproject.split_inclusive('\n') {
        if line.starts_with('[') {
            let comments = gone.iter().rev().take_while(|line| line.starts_with('#')).count();
            if !is_settings_header(line) {
                // What stands directly above the next table is about that.
                kept.extend(gone.iter().skip(gone.len() - comments));
                gone.clear();
            }
        }
        let inside = !gone.is_empty() || is_settings_header(line);
        if inside { gone.push(line) } else { kept.push(line) }
    }
    let text = kept.concat();
    let (mut before, after) = (table(pyproject)?, table(&text)?);
    take_settings(&mut before)?;
    (before == after).then_some(text)
}

/// Has pyproject.toml settings, in whatever form?
pub fn has_settings(pyproject: &str) -> bool {
    table(pyproject).is_some_and(|table| table.get("tool").is_some_and(|tool| tool.get("corten").is_some()))
}

fn is_settings_header(line: &str) -> bool {
    let name = line.trim_start_matches('[').strip_prefix("tool.corten");
    name.is_some_and(|rest| rest.starts_with(']') || rest.starts_with('.'))
}

fn table(text: &str) -> Option<Table> {
    toml::from_str(text).ok()
}

/// Takes `tool.corten` out, and `tool`, if there is nothing else in it.
fn take_settings(table: &mut Table) -> Option<()> {
    let tool = table.get_mut("tool")?.as_table_mut()?;
    tool.remove("corten")?;
    if tool.is_empty() {
        table.remove("tool");
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(key: &'static str, value: impl Into<Value>, proposed: bool, why: &str) -> Line {
        Line { key, value: value.into(), proposed, why: vec![why.to_owned()] }
    }

    #[test]
    fn no_name_ends_a_comment_or_a_string() {
        let hostile = "a\nport = 1\n\"\u{1b}[2J\u{7f}\\";
        let lines = [line("workdir", format!("/{hostile}"), false, hostile), line("user", hostile, true, "")];
        let text = settings_text(&[hostile.to_owned()], &lines, false);
        let table: Table = toml::from_str(&text).unwrap();
        assert_eq!(table.len(), 1, "{text}");
        assert_eq!(table["workdir"].as_str().unwrap(), format!("/{hostile}"));
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_section_goes_to_the_end_and_out_again_without_a_trace() {
        let section = settings_text(&[], &[line("port", 80, false, "why")], true);
        for pyproject in
            ["", "[project]\nname = 'x'", "# c\n[project]\r\nname = 'x'\n\n", "[tool.uv]\npackage = false\n"]
        {
            let text = with_section(pyproject, &section).unwrap();
            assert!(text.starts_with(pyproject) && text.ends_with(&section), "{text}");
            assert_eq!(without_section(&text).unwrap().trim_end(), pyproject.trim_end());
        }
        for taken in ["tool = {}", "[tool]\ncorten = {}\n", "[tool.corten]\n", "a = ["] {
            assert_eq!(with_section(taken, &section), None, "{taken}");
        }
    }

    #[test]
    fn what_stands_between_and_behind_stays() {
        let text = "[a]\nx = 1\n[tool.corten]\n# of it\nport = 1\nweights = [\n  \"a\",\n]\n\n# of b\n[b]\n[tool.corten.env]\nA = 1\n[[c]]\n";
        assert_eq!(without_section(text).unwrap(), "[a]\nx = 1\n# of b\n[b]\n[[c]]\n");
        for hidden in ["[tool]\ncorten = {}\n", "[project]\n", "[tool.\"corten\"]\n", "[tool.corten]\nx = [\n[1],\n]\n"]
        {
            assert_eq!(without_section(hidden), None, "{hidden}");
        }
    }
}
