//! The tables of other implementations, row by row: references of distribution, go-containerregistry and regclient,
//! documents of the image specification. Where we decide otherwise, the row and the reason stand here.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail, and says why it has not run"
)]

use std::path::PathBuf;

use corten_oci::{Descriptor, ImageConfig, Index, Manifest, Reference, Repository};
use serde_json::Value;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");

fn data(path: &str) -> Option<Value> {
    let path = PathBuf::from(DATA).join(path);
    if !path.exists() {
        let reason = format!("{} is absent", path.display());
        assert!(std::env::var_os("CI").is_none(), "{reason}");
        println!("not run: {reason}");
        return None;
    }
    Some(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
}

/// The rows of one table of a Go test file.
fn rows(tables: &Value, file: &str, symbol: &str, name: &str) -> Vec<Value> {
    let mut tables = tables[file].as_array().unwrap().iter();
    let table = tables.find(|table| table["symbol"] == symbol && table["name"] == name);
    table.unwrap_or_else(|| panic!("{file} has no {symbol} {name}"))["rows"].as_array().unwrap().clone()
}

/// A text, or a Go expression of texts and `strings.Repeat`, joined by `+`.
fn text(value: &Value) -> String {
    match value["$go"].as_str() {
        None => value.as_str().unwrap().to_owned(),
        Some(expression) => expression.split(" + ").map(term).collect(),
    }
}

fn term(term: &str) -> String {
    let quoted = |text: &str| text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap().to_owned();
    match term.strip_prefix("strings.Repeat(") {
        None => quoted(term),
        Some(rest) => {
            let (part, times) = rest.strip_suffix(')').unwrap().rsplit_once(", ").unwrap();
            quoted(part).repeat(times.parse().unwrap())
        }
    }
}

fn parse(text: &str) -> Option<Reference> {
    text.parse().ok()
}

/// Checks one row; collects what is not as expected, but for the known differences.
#[derive(Default)]
struct Check {
    wrong: Vec<String>,
    different: usize,
}

impl Check {
    fn row(&mut self, differences: &[(&str, &str)], about: &str, is: bool) {
        match (is, differences.iter().any(|(row, _)| *row == about)) {
            (true, false) => {}
            (false, true) => self.different += 1,
            (true, true) => self.wrong.push(format!("{about}: is no difference any more")),
            (false, false) => self.wrong.push(about.to_owned()),
        }
    }

    fn done(self, differences: &[(&str, &str)]) {
        assert!(self.wrong.is_empty(), "{:#?}", self.wrong);
        assert_eq!(self.different, differences.len(), "each difference occurs once");
    }
}

#[test]
fn distribution_names() {
    let Some(tables) = data("references/distribution_reference.json") else { return };
    let mut check = Check::default();
    for (symbol, name, good) in [
        ("TestValidateReferenceName", "validRepoNames", true),
        ("TestValidateReferenceName", "invalidRepoNames", false),
        ("TestValidateRemoteName", "validRepositoryNames", true),
        ("TestValidateRemoteName", "invalidRepositoryNames", false),
    ] {
        for row in rows(&tables, "normalize_test.go", symbol, name) {
            let row = text(&row);
            check.row(&[], &row, parse(&row).is_some() == good);
        }
    }
    check.done(&[]);
}

#[test]
fn distribution_normal_forms() {
    let Some(tables) = data("references/distribution_reference.json") else { return };
    let differences = [
        (
            "sha256:dbcc1c35ac38df41fd2f5e4130b32ffdb93ebae8b3dbe638c23575912276fc9c",
            "read as repository and tag, as ParseNormalizedNamed does; only ParseAnyReference takes it for an identifier",
        ),
        ("dbcc1c35ac38df41fd2f5e4130b32ffdb93ebae8b3dbe638c23575912276fc9c", "identifiers are no references here"),
    ];
    let mut check = Check::default();
    let full = |reference: &Reference| {
        let name = Reference { repository: reference.repository.normalised(), ..reference.clone() };
        name.to_string()
    };
    for row in rows(&tables, "normalize_test.go", "TestParseRepositoryInfo", "tests") {
        for written in ["AmbiguousName", "FamiliarName", "FullName"].map(|key| text(&row[key])) {
            let Some(found) = parse(&written).filter(|_| !written.is_empty()) else {
                check.row(&[], &written, written.is_empty());
                continue;
            };
            let normal = found.repository.normalised();
            let is = full(&found) == row["FullName"]
                && row["Domain"] == normal.host.unwrap()
                && row["RemoteName"] == normal.path;
            check.row(&[], &written, is);
        }
    }
    for row in rows(&tables, "normalize_test.go", "TestParseAnyReference", "tests") {
        let written = text(&row["Reference"]);
        let found = parse(&written).map(|found| full(&found));
        check.row(&differences, &written, found.as_deref() == row["Equivalent"].as_str());
    }
    for row in rows(&tables, "normalize_test.go", "TestNormalizedSplitHostname", "tests") {
        let written = text(&row["input"]);
        let normal = written.parse::<Repository>().unwrap().normalised();
        let is = row["domain"] == normal.host.unwrap() && row["path"] == normal.path;
        check.row(&[], &written, is);
    }
    for row in rows(&tables, "normalize_test.go", "TestParseDockerRef", "tests") {
        let written = text(&row["input"]);
        let mut found = parse(&written).unwrap();
        // Docker forgets a tag beside a digest, and says `latest` where there is neither.
        found.tag = match found.digest {
            Some(_) => None,
            None => found.tag.or_else(|| "latest".parse().ok()),
        };
        check.row(&[], &written, full(&found) == row["expected"]);
    }
    check.done(&differences);
}

#[test]
fn distribution_references() {
    let Some(tables) = data("references/distribution_reference.json") else { return };
    let differences = [];
    let mut check = Check::default();
    for row in rows(&tables, "reference_test.go", "TestReferenceParse", "tests") {
        let written = text(&row["input"]);
        let is = match (parse(&written), row.get("err")) {
            (None, Some(_)) => true,
            (Some(found), None) => {
                found.repository.to_string() == text(&row["repository"])
                    && found.tag.map(|tag| tag.to_string()).as_deref() == row["tag"].as_str()
                    && found.digest.map(|digest| digest.to_string()).as_deref() == row["digest"].as_str()
            }
            _ => false,
        };
        check.row(&differences, &written, is);
    }
    check.done(&differences);
}

#[test]
fn distribution_grammar() {
    let Some(tables) = data("references/distribution_reference.json") else { return };
    let long = format!("{}a", "a/".repeat(128));
    let differences = [
        (long.as_str(), "more than 255 characters, which distribution counts outside of its grammar"),
        ("[fd00123123123]:75050/name", "no address and no port, whatever the grammar lets through"),
    ];
    let mut check = Check::default();
    for row in rows(&tables, "regexp_test.go", "TestFullNameRegexp", "tests") {
        let written = text(&row["input"]);
        check.row(&differences, &written, row["match"] == written.parse::<Repository>().is_ok());
    }
    for row in rows(&tables, "regexp_test.go", "TestDomainRegexp", "tests") {
        let written = format!("{}/name", text(&row["input"]));
        check.row(&differences, &written, row["match"] == written.parse::<Repository>().is_ok());
    }
    for row in rows(&tables, "regexp_test.go", "TestReferenceRegexp", "tests") {
        let written = text(&row["input"]);
        let parts = parse(&written).map(|found| {
            let (tag, digest) = (found.tag.map(|tag| tag.to_string()), found.digest.map(|digest| digest.to_string()));
            [found.repository.to_string(), tag.unwrap_or_default(), digest.unwrap_or_default()]
        });
        let is = match (parts, row["match"] == true) {
            (Some(parts), true) => row["subs"] == serde_json::json!(parts),
            (parts, _) => parts.is_none(),
        };
        check.row(&differences, &written, is);
    }
    for row in rows(&tables, "reference_test.go", "TestWithNameFailure", "tests") {
        let written = text(&row["input"]);
        check.row(&differences, &written, written.parse::<Repository>().is_err());
    }
    check.done(&differences);
}

#[test]
fn references_of_go_containerregistry() {
    let Some(tables) = data("references/ggcr_name.json") else { return };
    let differences = [];
    let mut check = Check::default();
    for (file, name, good) in [
        ("pkg/name/repository_test.go", "goodStrictValidationRepositoryNames", true),
        ("pkg/name/repository_test.go", "goodWeakValidationRepositoryNames", true),
        ("pkg/name/repository_test.go", "badRepositoryNames", false),
        ("pkg/name/tag_test.go", "goodStrictValidationTagNames", true),
        ("pkg/name/tag_test.go", "goodWeakValidationTagNames", true),
        ("pkg/name/tag_test.go", "badTagNames", false),
        ("pkg/name/digest_test.go", "goodStrictValidationDigestNames", true),
        ("pkg/name/digest_test.go", "goodStrictValidationTagDigestNames", true),
        ("pkg/name/digest_test.go", "goodWeakValidationDigestNames", true),
        ("pkg/name/digest_test.go", "goodWeakValidationTagDigestNames", true),
        ("pkg/name/digest_test.go", "badDigestNames", false),
    ] {
        for row in rows(&tables, file, "", name) {
            let row = text(&row);
            check.row(&differences, &row, parse(&row).is_some() == good);
        }
    }
    check.done(&differences);
}

#[test]
fn references_of_regclient() {
    let Some(tables) = data("references/regclient_ref.json") else { return };
    let differences = [
        (
            "registry-1.docker.io/library/alpine",
            "only index.docker.io is another name of docker.io, as in distribution",
        ),
        ("example./g/roup/image:a", "a host that ends with a dot is refused, as in distribution"),
        ("example.:5000/g/roup/image:a", "a host that ends with a dot is refused, as in distribution"),
        ("localhost:5000", "read as repository and tag, as in distribution"),
    ];
    let mut check = Check::default();
    for row in rows(&tables, "types/ref/ref_test.go", "TestNew", "tt") {
        let written = text(&row["ref"]);
        let is_file = row["scheme"].as_str().is_some_and(|scheme| scheme != "reg");
        let is = match (parse(&written), row["wantE"].is_null() && !is_file) {
            (None, false) => true,
            (Some(found), true) => {
                let normal = found.repository.normalised();
                let tag = match (&found.tag, &found.digest) {
                    (None, None) => "latest".to_owned(),
                    (tag, _) => tag.as_ref().map(ToString::to_string).unwrap_or_default(),
                };
                row["registry"] == normal.host.unwrap()
                    && row["repository"] == normal.path
                    && row["tag"] == tag
                    && row["digest"] == found.digest.map(|digest| digest.to_string()).unwrap_or_default()
            }
            _ => false,
        };
        check.row(&differences, &written, is);
    }
    check.done(&differences);
}

#[test]
fn documents_of_the_image_specification() {
    let Some(index) = data("image-spec-fixtures/index.json") else { return };
    const ALGORITHM: &str = "content that cannot be checked is not taken: SHA-256 is the one algorithm";
    let differences = [
        (
            "manifest-005.json",
            "no layers: the text of 1.1 says SHOULD, and BuildKit writes it for an empty FROM scratch",
        ),
        ("descriptor-042.json", ALGORITHM),
        ("descriptor-043.json", ALGORITHM),
        ("descriptor-044.json", ALGORITHM),
        ("descriptor-045.json", ALGORITHM),
        ("descriptor-046.json", ALGORITHM),
        ("descriptor-048.json", ALGORITHM),
    ];
    let mut check = Check::default();
    for row in index.as_array().unwrap() {
        let file = text(&row["file"]);
        let bytes = std::fs::read(PathBuf::from(DATA).join("image-spec-fixtures").join(&file)).unwrap();
        let taken = match file.split('-').next().unwrap() {
            "manifest" => Manifest::parse(&bytes).is_ok(),
            "imageindex" => Index::parse(&bytes).is_ok(),
            "config" => ImageConfig::parse(&bytes).is_ok(),
            "descriptor" => serde_json::from_slice::<Descriptor>(&bytes).is_ok(),
            "backwards_compatibility" => {
                Manifest::parse(&bytes).is_ok() || Index::parse(&bytes).is_ok() || ImageConfig::parse(&bytes).is_ok()
            }
            // Tested where layouts are read: crates/store.
            "imagelayout" => continue,
            other => panic!("no reader for {other}"),
        };
        if row["expect"] != "unknown" {
            check.row(&differences, &file, taken == (row["expect"] == "accept"));
        }
    }
    check.done(&differences);
}
