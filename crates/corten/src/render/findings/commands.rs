//! Workflow commands of GitHub Actions: `::warning file=…,line=…::message`, one a line.

use super::{Looked, Spot, of_severity, told};

/// The commands.
pub fn text(looked: &Looked<'_>) -> String {
    let command = |finding: &corten_diagnostic::Finding| {
        let spot = Spot::of(&finding.at);
        let kind = of_severity(finding.severity, ["error", "warning", "notice"]);
        let (line, column) = spot.from;
        // Columns over several lines are refused there.
        let columns = match spot.to {
            (last, end) if last == line => format!(",col={column},endColumn={}", end.saturating_sub(1).max(column)),
            _ => String::new(),
        };
        format!(
            "::{kind} file={},line={line},endLine={}{columns},title={}::{}",
            property(&spot.file),
            spot.last_line(),
            property(finding.rule.0),
            data(&told(finding))
        )
    };
    looked.findings.iter().map(command).collect::<Vec<_>>().join("\n")
}

/// Text behind the second `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Text of a property: what separates properties is escaped, too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
