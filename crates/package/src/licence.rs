//! Licences of Python packages as SPDX expressions.
//!
//! Newer packages state an expression (PEP 639). Older ones have a name or a whole text in `License`, and classifiers,
//! several of which name a family only (`BSD License`). What is not certain stays unsaid: a bill of materials then says
//! NOASSERTION.

use std::collections::BTreeSet;

/// What a package's METADATA says about its licence.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stated<'a> {
    /// `License-Expression` (PEP 639).
    pub expression: Option<&'a str>,
    /// `License`: a name, or the whole text.
    pub text: Option<&'a str>,
    /// `Classifier`, all of them.
    pub classifiers: &'a [&'a str],
}

/// An SPDX expression for what is stated; `None` where that cannot be told for certain.
pub fn normalise(stated: &Stated<'_>) -> Option<String> {
    let expression =
        stated.expression.and_then(|text| expression(text, &|id| Some(known(id).unwrap_or(id).to_owned())));
    expression.or_else(|| stated.text.and_then(named)).or_else(|| classified(stated.classifiers))
}

/// Identifiers that occur on PyPI, in SPDX's spelling.
const KNOWN: [&str; 46] = [
    "0BSD",
    "AFL-3.0",
    "AGPL-3.0-only",
    "AGPL-3.0-or-later",
    "Apache-2.0",
    "Artistic-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSD-3-Clause-Clear",
    "BSD-4-Clause",
    "BSL-1.0",
    "CC-BY-4.0",
    "CC-BY-SA-4.0",
    "CC0-1.0",
    "CECILL-2.1",
    "CNRI-Python",
    "EPL-1.0",
    "EPL-2.0",
    "EUPL-1.2",
    "GPL-2.0-only",
    "GPL-2.0-or-later",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "HPND",
    "IJG",
    "ISC",
    "LGPL-2.1-only",
    "LGPL-2.1-or-later",
    "LGPL-3.0-only",
    "LGPL-3.0-or-later",
    "Libpng",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "MPL-1.1",
    "MPL-2.0",
    "NCSA",
    "OFL-1.1",
    "PSF-2.0",
    "Python-2.0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "UPL-1.0",
    "WTFPL",
    "Zlib",
];

fn known(id: &str) -> Option<&'static str> {
    ["ZPL-2.1", "Unicode-TOU", "libtiff"].iter().chain(&KNOWN).find(|known| known.eq_ignore_ascii_case(id)).copied()
}

/// `text` if it follows the grammar of SPDX expressions (annex D), identifiers as `spelled`.
fn expression(text: &str, spelled: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let mut words = Vec::new();
    let (mut depth, mut operand_next) = (0_usize, true);
    for word in spaced.split_ascii_whitespace() {
        match (word, operand_next) {
            ("(", true) => depth += 1,
            (")", false) => depth = depth.checked_sub(1)?,
            ("(" | ")", _) => return None,
            (operator, false) => {
                let operator = operator.to_ascii_uppercase();
                let good = matches!(operator.as_str(), "AND" | "OR" | "WITH");
                operand_next = good.then_some(true)?;
                words.push(operator);
                continue;
            }
            (id, true) => {
                words.push(spell(id, words.last().is_some_and(|last| last == "WITH"), spelled)?);
                operand_next = false;
                continue;
            }
        }
        words.push(word.to_owned());
    }
    let complete = depth == 0 && !operand_next;
    complete.then(|| words.join(" ").replace("( ", "(").replace(" )", ")"))
}

fn spell(id: &str, exception: bool, spelled: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let bare = id.strip_suffix('+').unwrap_or(id);
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let reserved = ["AND", "OR", "WITH"].iter().any(|word| word.eq_ignore_ascii_case(bare));
    if bare.is_empty() || reserved || !bare.bytes().all(good) {
        return None;
    }
    let name = if exception { bare.to_owned() } else { spelled(bare)? };
    Some(format!("{name}{}", if bare.len() < id.len() { "+" } else { "" }))
}

/// The `License` field: an expression of known identifiers, a common name, or a text that gives itself away.
fn named(text: &str) -> Option<String> {
    let text = text.trim();
    if text.lines().count() > 3 {
        return recognise(text).map(str::to_owned);
    }
    expression(text, &|id| known(id).map(str::to_owned)).or_else(|| common(text).map(str::to_owned))
}

/// Names as people write them, compared without case, blanks and the words `the`, `license`, `version`.
fn common(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase().replace("licence", "license");
    let squeezed: String = lower
        .split(|next: char| !next.is_ascii_alphanumeric() && next != '.' && next != '+')
        .filter(|word| !matches!(*word, "the" | "license" | "licensed" | "version" | "software" | "under" | ""))
        .map(|word| {
            word.strip_prefix('v').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())).unwrap_or(word)
        })
        .collect();
    Some(match squeezed.as_str() {
        "mit" | "expat" | "mitexpat" => "MIT",
        "apache2.0" | "apache2" | "asl2.0" | "asl2" | "al2.0" | "apachelicense2.0" | "apachelicense2" => "Apache-2.0",
        "3clausebsd" | "bsd3clause" | "bsd3" | "newbsd" | "modifiedbsd" | "newbsd3clause" | "revisedbsd" => {
            "BSD-3-Clause"
        }
        "2clausebsd" | "bsd2clause" | "bsd2" | "simplifiedbsd" | "freebsd" => "BSD-2-Clause",
        "mozillapublic2.0mpl2.0" | "mozillapublic2.0" | "mpl2.0" | "mpl2" | "mpl2.0mozillapublic2.0" => "MPL-2.0",
        "psf" | "psf2.0" | "pythonfoundation" => "PSF-2.0",
        "isc" | "iscl" => "ISC",
        "zlib" | "zliblibpng" => "Zlib",
        "unlicense" | "publicdomainunlicense" => "Unlicense",
        "hpnd" => "HPND",
        "mitcmu" => "MIT-CMU",
        "cc0" | "cc01.0" => "CC0-1.0",
        "boost1.0" | "bsl1.0" => "BSL-1.0",
        "gplv2+" | "gpl2+" => "GPL-2.0-or-later",
        "gplv3+" | "gpl3+" => "GPL-3.0-or-later",
        "lgplv3+" | "lgpl3+" => "LGPL-3.0-or-later",
        "lgplv2.1+" | "lgpl2.1+" => "LGPL-2.1-or-later",
        _ => return None,
    })
}

/// A licence's own words.
fn recognise(text: &str) -> Option<&'static str> {
    let words: String = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
    let has = |part: &str| words.contains(part);
    let found: Vec<&'static str> = [
        ("Apache-2.0", has("apache license") && has("version 2.0, january 2004")),
        (
            "MIT",
            has("permission is hereby granted, free of charge") && has("to deal in the software without restriction"),
        ),
        ("MPL-2.0", has("mozilla public license version 2.0") && has("covered software")),
        (
            "BSD-3-Clause",
            has("redistributions in binary form must reproduce")
                && has("neither the name")
                && !has("all advertising materials"),
        ),
        (
            "BSD-2-Clause",
            has("redistributions in binary form must reproduce")
                && !has("neither the name")
                && !has("advertising materials"),
        ),
        (
            "ISC",
            has("permission to use, copy, modify, and/or distribute this software for any purpose with or without fee"),
        ),
    ]
    .into_iter()
    .filter_map(|(id, is)| is.then_some(id))
    .collect();
    match found.as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}

/// What the classifiers name, if it is one licence. `Apache Software License` is taken for 2.0, the only one in use since 2004.
fn classified(classifiers: &[&str]) -> Option<String> {
    let licences: BTreeSet<&str> = classifiers
        .iter()
        .filter_map(|classifier| classifier.trim().strip_prefix("License :: "))
        .map(|licence| licence.strip_prefix("OSI Approved :: ").unwrap_or(licence))
        .filter(|licence| *licence != "OSI Approved")
        .collect();
    let only = licences.first().filter(|_| licences.len() == 1)?;
    let id = match *only {
        "MIT License" => "MIT",
        "MIT No Attribution License (MIT-0)" => "MIT-0",
        "Apache Software License" => "Apache-2.0",
        "ISC License (ISCL)" => "ISC",
        "Mozilla Public License 2.0 (MPL 2.0)" => "MPL-2.0",
        "Mozilla Public License 1.1 (MPL 1.1)" => "MPL-1.1",
        "Python Software Foundation License" => "PSF-2.0",
        "The Unlicense (Unlicense)" => "Unlicense",
        "Historical Permission Notice and Disclaimer (HPND)" => "HPND",
        "CMU License (MIT-CMU)" => "MIT-CMU",
        "zlib/libpng License" => "Zlib",
        "Boost Software License 1.0 (BSL-1.0)" => "BSL-1.0",
        "BSD Zero Clause License" | "Zero-Clause BSD (0BSD)" => "0BSD",
        "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication" => "CC0-1.0",
        "Universal Permissive License (UPL)" => "UPL-1.0",
        "University of Illinois/NCSA Open Source License" => "NCSA",
        "GNU General Public License v2 (GPLv2)" => "GPL-2.0-only",
        "GNU General Public License v2 or later (GPLv2+)" => "GPL-2.0-or-later",
        "GNU General Public License v3 (GPLv3)" => "GPL-3.0-only",
        "GNU General Public License v3 or later (GPLv3+)" => "GPL-3.0-or-later",
        "GNU Affero General Public License v3" => "AGPL-3.0-only",
        "GNU Affero General Public License v3 or later (AGPLv3+)" => "AGPL-3.0-or-later",
        "GNU Lesser General Public License v3 (LGPLv3)" => "LGPL-3.0-only",
        "GNU Lesser General Public License v3 or later (LGPLv3+)" => "LGPL-3.0-or-later",
        _ => return None,
    };
    Some(id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expression(text: &str) -> Option<String> {
        normalise(&Stated { expression: Some(text), ..Stated::default() })
    }

    fn text(text: &str) -> Option<String> {
        normalise(&Stated { text: Some(text), ..Stated::default() })
    }

    #[test]
    fn expressions_are_checked_and_spelled() {
        for (given, wanted) in [
            ("MIT", Some("MIT")),
            ("mit or apache-2.0", Some("MIT OR Apache-2.0")),
            ("(MIT AND (BSD-3-Clause OR ISC))", Some("(MIT AND (BSD-3-Clause OR ISC))")),
            ("GPL-3.0-only WITH Classpath-exception-2.0", Some("GPL-3.0-only WITH Classpath-exception-2.0")),
            ("LicenseRef-Proprietary", Some("LicenseRef-Proprietary")),
            ("Foo-2.0+", Some("Foo-2.0+")),
            ("MIT OR", None),
            ("MIT Apache-2.0", None),
            ("(MIT", None),
            ("MIT)", None),
            ("()", None),
            ("", None),
            ("MIT & ISC", None),
        ] {
            assert_eq!(expression(given).as_deref(), wanted, "{given}");
        }
    }

    #[test]
    fn names_of_the_old_field() {
        for (given, wanted) in [
            ("MIT License", Some("MIT")),
            ("The MIT License", Some("MIT")),
            ("Apache 2.0", Some("Apache-2.0")),
            ("Apache License, Version 2.0", Some("Apache-2.0")),
            ("Apache Software License 2.0", Some("Apache-2.0")),
            ("apache-2.0", Some("Apache-2.0")),
            ("BSD 3-Clause License", Some("BSD-3-Clause")),
            ("3-Clause BSD License", Some("BSD-3-Clause")),
            ("BSD-3-Clause OR Apache-2.0", Some("BSD-3-Clause OR Apache-2.0")),
            ("MPL-2.0 AND MIT", Some("MPL-2.0 AND MIT")),
            ("BSD", None),
            ("GPL", None),
            ("Apache", None),
            ("Dual License", None),
            ("UNKNOWN", None),
            ("see LICENSE", None),
        ] {
            assert_eq!(text(given).as_deref(), wanted, "{given}");
        }
    }

    #[test]
    fn whole_texts_give_themselves_away() {
        let mit = "MIT License\n\nCopyright (c) 2020 X\n\nPermission is hereby granted, free of charge, to any person\nto deal in the Software\nwithout restriction, including";
        assert_eq!(text(mit).as_deref(), Some("MIT"));
        let apache = "Apache License\nVersion 2.0, January 2004\nhttp://www.apache.org/licenses/\n\nTERMS";
        assert_eq!(text(apache).as_deref(), Some("Apache-2.0"));
        assert_eq!(text(&format!("{mit}\n{apache}")), None, "two licences");
        let bsd = "Redistribution and use in source and binary forms\n\n* Redistributions in binary form must reproduce\n\n* x\n";
        assert_eq!(text(bsd).as_deref(), Some("BSD-2-Clause"));
        assert_eq!(text(&format!("{bsd}* Neither the name of X\n")).as_deref(), Some("BSD-3-Clause"));
    }

    #[test]
    fn classifiers_count_when_they_are_certain() {
        let of = |classifiers: &[&str]| normalise(&Stated { classifiers, ..Stated::default() });
        assert_eq!(of(&["Topic :: X", "License :: OSI Approved :: MIT License"]).as_deref(), Some("MIT"));
        assert_eq!(of(&["License :: OSI Approved", "License :: OSI Approved :: MIT License"]).as_deref(), Some("MIT"));
        assert_eq!(of(&["License :: OSI Approved :: BSD License"]), None);
        assert_eq!(
            of(&["License :: OSI Approved :: MIT License", "License :: OSI Approved :: Apache Software License"]),
            None
        );
        let both =
            Stated { text: Some("BSD"), classifiers: &["License :: OSI Approved :: MIT License"], ..Stated::default() };
        assert_eq!(normalise(&both).as_deref(), Some("MIT"));
    }
}
