//! What a package says about its licence, as SPDX may say it (SPDX 2.3 annex D).
//!
//! A text that is an expression over known identifiers stays. Any other text becomes a `LicenseRef-…` whose words stand
//! in the document, so nothing is guessed and nothing is lost.

use corten_oci::Digest;
use spdx::{Expression, LicenseItem, ParseMode};

/// Longer texts are cut: a bill of materials is no archive of licences.
const LONGEST: usize = 16 << 10;
const SLUG: usize = 40;

/// A licence as it stands in the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Licence {
    /// An SPDX expression or `NOASSERTION`.
    pub(crate) expression: String,
    /// Identifiers of the expression that SPDX does not know, with what is known about them.
    pub(crate) extracted: Vec<(String, String)>,
}

/// Deprecated identifiers (`GPL-2.0`) are in the list, so they are valid; loose names are not.
const MODE: ParseMode = ParseMode { allow_deprecated: true, ..ParseMode::STRICT };

pub(crate) fn licence(stated: Option<&str>) -> Licence {
    let text = stated.unwrap_or_default().trim();
    if text.is_empty() || ["unknown", "none", "noassertion"].iter().any(|nothing| text.eq_ignore_ascii_case(nothing)) {
        return Licence { expression: "NOASSERTION".into(), extracted: Vec::new() };
    }
    as_expression(text).unwrap_or_else(|| by_reference(text))
}

fn as_expression(text: &str) -> Option<Licence> {
    if text.len() > LONGEST {
        return None;
    }
    let expression = Expression::parse_mode(text, MODE).ok()?;
    let mut extracted = Vec::new();
    for requirement in expression.requirements() {
        let LicenseItem::Other(other) = &requirement.req.license else { continue };
        if other.doc_ref.is_some() {
            return None;
        }
        let words = "The package names this licence; its text is in the package.".to_owned();
        extracted.push((format!("LicenseRef-{}", other.lic_ref), words));
    }
    Some(Licence { expression: text.split_whitespace().collect::<Vec<_>>().join(" "), extracted })
}

/// `LicenseRef-<first words>-<hash of all words>`.
fn by_reference(text: &str) -> Licence {
    let words = cut(text);
    let slug: String =
        words.chars().take(SLUG).map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect();
    let slug: Vec<_> = slug.split('-').filter(|word| !word.is_empty()).collect();
    let hash: String = Digest::of(text).hex().chars().take(8).collect();
    let id = ["LicenseRef"].into_iter().chain(slug).chain([hash.as_str()]).collect::<Vec<_>>().join("-");
    Licence { expression: id.clone(), extracted: vec![(id, words)] }
}

fn cut(text: &str) -> String {
    match text.char_indices().find(|(at, _)| *at >= LONGEST) {
        Some((at, _)) => format!("{} […]", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_stay() {
        for text in ["MIT", "Apache-2.0 OR BSD-2-Clause", "GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0"] {
            assert_eq!(licence(Some(text)), Licence { expression: text.into(), extracted: Vec::new() });
        }
        assert_eq!(licence(Some(" MIT  AND\n ISC ")).expression, "MIT AND ISC");
    }

    #[test]
    fn nothing_is_said_where_nothing_is_known() {
        for stated in [None, Some(""), Some("UNKNOWN"), Some("  None ")] {
            assert_eq!(licence(stated).expression, "NOASSERTION");
        }
    }

    #[test]
    fn other_words_become_a_reference_that_keeps_them() {
        for text in ["BSD", "Apache 2.0", "MIT OR", "(MIT", "DocumentRef-x:LicenseRef-y", "a\u{202e}\u{0}b", "€"] {
            let licence = licence(Some(text));
            let id = &licence.expression;
            assert!(id.starts_with("LicenseRef-"), "{text}: {id}");
            assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')), "{id}");
            assert_eq!(licence.extracted, [(id.clone(), text.to_owned())]);
        }
        assert_ne!(licence(Some("BSD!")).expression, licence(Some("BSD?")).expression);
    }

    #[test]
    fn a_reference_of_the_package_is_told() {
        let licence = licence(Some("MIT AND LicenseRef-Nvidia"));
        assert_eq!(licence.expression, "MIT AND LicenseRef-Nvidia");
        assert_eq!(licence.extracted[0].0, "LicenseRef-Nvidia");
    }

    #[test]
    fn a_long_text_is_cut() {
        let text = "é".repeat(1 << 20);
        let licence = licence(Some(&text));
        assert!(licence.extracted[0].1.len() < LONGEST + 10);
    }
}
