//! The texts of a `.dist-info` folder.
//!
//! One writer for all backends: what it writes means the same as what theirs write, byte for byte it differs (research of
//! 88 wheels: nothing reads the order, quotes or blanks).

use std::collections::BTreeMap;
use std::fmt::Write;

use super::core::{Core, Person};

/// METADATA, core metadata 2.4.
pub(super) fn metadata(core: &Core, licences: &[String]) -> String {
    let mut text = String::new();
    line(&mut text, "Metadata-Version", "2.4");
    line(&mut text, "Name", &core.name);
    line(&mut text, "Version", &core.version);
    optional(&mut text, "Summary", core.summary.as_deref().and_then(|summary| summary.lines().next()));
    if !core.keywords.is_empty() {
        line(&mut text, "Keywords", &core.keywords.join(","));
    }
    people(&mut text, "Author", &core.authors);
    people(&mut text, "Maintainer", &core.maintainers);
    optional(&mut text, "License-Expression", core.license_expression.as_deref());
    optional(&mut text, "License", core.license_text.as_deref());
    lines(&mut text, "License-File", licences);
    lines(&mut text, "Classifier", &core.classifiers);
    for (label, url) in &core.urls {
        line(&mut text, "Project-URL", &format!("{label}, {url}"));
    }
    optional(&mut text, "Requires-Python", core.requires_python.as_deref());
    core.extras.iter().for_each(|extra| line(&mut text, "Provides-Extra", extra.as_str()));
    lines(&mut text, "Requires-Dist", &core.requires);
    if let Some(readme) = &core.readme {
        line(&mut text, "Description-Content-Type", &readme.content_type);
        text.push('\n');
        text.push_str(&readme.body);
    }
    text
}

fn optional(text: &mut String, key: &str, value: Option<&str>) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        line(text, key, value);
    }
}

fn lines(text: &mut String, key: &str, values: &[String]) {
    values.iter().for_each(|value| line(text, key, value));
}

/// One header. Further lines of a value are indented, so that none becomes a header of its own.
fn line(text: &mut String, key: &str, value: &str) {
    let value = value.trim().replace("\r\n", "\n").replace(['\r', '\n'], "\n        ");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{key}: {value}");
}

fn people(text: &mut String, key: &str, people: &[Person]) {
    let names: Vec<&str> =
        people.iter().filter(|person| person.email.is_none()).filter_map(|person| person.name.as_deref()).collect();
    optional(text, key, Some(&names.join(", ")));
    let mails: Vec<String> = people.iter().filter_map(mail).collect();
    optional(text, &format!("{key}-email"), Some(&mails.join(", ")));
}

fn mail(person: &Person) -> Option<String> {
    let email = person.email.as_deref()?;
    Some(match person.name.as_deref() {
        None => email.to_owned(),
        Some(name) if name.contains([',', '.', '"', '@', '<']) => {
            format!("\"{}\" <{email}>", name.replace('"', "\\\""))
        }
        Some(name) => format!("{name} <{email}>"),
    })
}

/// entry_points.txt.
pub(super) fn entry_points(groups: &BTreeMap<String, BTreeMap<String, String>>) -> String {
    let mut text = String::new();
    for (group, entries) in groups.iter().filter(|(_, entries)| !entries.is_empty()) {
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(text, "[{group}]");
        for (name, value) in entries {
            let _ = writeln!(text, "{name} = {value}");
        }
    }
    text
}

/// WHEEL of a pure wheel.
pub(super) fn wheel(tags: &[&str]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!("Wheel-Version: 1.0\nGenerator: corten {version}\nRoot-Is-Purelib: true\n");
    for tag in tags {
        let _ = writeln!(text, "Tag: {tag}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_cannot_be_smuggled() {
        let core = Core {
            name: "a".into(),
            version: "1".into(),
            summary: Some("x\nRequires-Dist: evil".into()),
            license_text: Some("MIT\r\nName: evil".into()),
            keywords: vec!["k\nVersion: 9".into()],
            ..Core::default()
        };
        let text = metadata(&core, &[]);
        let expected = "Metadata-Version: 2.4\nName: a\nVersion: 1\nSummary: x\n\
            Keywords: k\n        Version: 9\nLicense: MIT\n        Name: evil\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn people_with_and_without_addresses() {
        let person = |name: Option<&str>, email: Option<&str>| Person {
            name: name.map(str::to_owned),
            email: email.map(str::to_owned),
        };
        let people = vec![person(Some("A"), None), person(Some("B. C"), Some("b@x")), person(None, Some("d@x"))];
        let core = Core { name: "a".into(), version: "1".into(), authors: people, ..Core::default() };
        let text = metadata(&core, &[]);
        assert!(text.contains("\nAuthor: A\nAuthor-email: \"B. C\" <b@x>, d@x\n"), "{text}");
    }
}
