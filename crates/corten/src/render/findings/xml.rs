//! The two formats in XML: JUnit, as Jenkins' schema has it, and checkstyle's reports.

use std::path::Path;

use corten_diagnostic::Finding;

use super::{Looked, Spot, of_severity, shown, told};

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// A suite for each file, a failure for each finding; a file without one is a test that passed.
pub fn junit(looked: &Looked<'_>) -> String {
    let mut text = format!(
        "{HEAD}<testsuites name=\"corten lint\" tests=\"{}\" failures=\"{}\" errors=\"0\">\n",
        by_file(looked).iter().map(|(_, all)| all.len().max(1)).sum::<usize>(),
        looked.findings.len()
    );
    for (file, findings) in by_file(looked) {
        let tests = findings.len().max(1);
        let name = escaped(&file);
        text.push_str(&format!(
            "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{}\" errors=\"0\" skipped=\"0\">\n",
            findings.len()
        ));
        if findings.is_empty() {
            text.push_str(&format!("    <testcase name=\"{name}\" classname=\"{name}\"/>\n"));
        }
        findings.iter().for_each(|finding| text.push_str(&case(&name, finding)));
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>");
    text
}

fn case(file: &str, finding: &Finding) -> String {
    let spot = Spot::of(&finding.at);
    let (line, column) = spot.from;
    let kind = finding.severity;
    let message = escaped(&finding.message);
    let body = escaped(&format!("{}:{line}:{column}: {}", spot.file, told(finding)));
    let name = escaped(&format!("{} at {line}:{column}", finding.rule));
    format!(
        "    <testcase name=\"{name}\" classname=\"{file}\">\n      \
         <failure type=\"{kind}\" message=\"{message}\">{body}</failure>\n    </testcase>\n"
    )
}

/// A `file` for each file with findings, an `error` for each of them.
pub fn checkstyle(looked: &Looked<'_>) -> String {
    let mut text = format!("{HEAD}<checkstyle version=\"4.3\">\n");
    for (file, findings) in by_file(looked).iter().filter(|(_, findings)| !findings.is_empty()) {
        text.push_str(&format!("  <file name=\"{}\">\n", escaped(file)));
        for finding in findings {
            let (line, column) = Spot::of(&finding.at).from;
            text.push_str(&format!(
                "    <error line=\"{line}\" column=\"{column}\" severity=\"{}\" message=\"{}\" source=\"{}\"/>\n",
                of_severity(finding.severity, ["error", "warning", "info"]),
                escaped(&told(finding)),
                escaped(finding.rule.0)
            ));
        }
        text.push_str("  </file>\n");
    }
    text.push_str("</checkstyle>");
    text
}

/// Every file that was looked at, then what has a finding beside them, each with its findings.
fn by_file<'a>(looked: &Looked<'a>) -> Vec<(String, Vec<&'a Finding>)> {
    let mut files: Vec<(String, Vec<&Finding>)> =
        looked.files.iter().map(|file| (shown(Path::new(file)), Vec::new())).collect();
    let mut places: std::collections::BTreeMap<String, usize> =
        files.iter().enumerate().map(|(at, (file, _))| (file.clone(), at)).collect();
    for finding in looked.findings {
        let file = Spot::of(&finding.at).file;
        let at = *places.entry(file.clone()).or_insert_with(|| {
            files.push((file, Vec::new()));
            files.len() - 1
        });
        if let Some((_, findings)) = files.get_mut(at) {
            findings.push(finding);
        }
    }
    files
}

/// Text inside an attribute or an element. Characters that XML 1.0 has no way to write are replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\r' => escaped.push_str("&#13;"),
            '\t' => escaped.push_str("&#9;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}
