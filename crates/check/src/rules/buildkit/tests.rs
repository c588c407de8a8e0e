//! BuildKit's own answers (`../shared/data/dockerfile/oracle`), and the cases of its tests that need an ignore file, arguments or
//! an image.

use std::path::Path;

use corten_frontend::dockerfile::Dockerfile;
use corten_frontend::ignore::Matcher;
use corten_oci::ContainerConfig;
use serde_json::Value;

use super::walk::Walker;
use super::*;
use crate::lint::{Config, IgnoreFile, Lint};

/// Rule, line, detail.
type Said = (String, usize, String);

/// `image` is the config that every image has.
fn said(text: &str, config: &Config, image: Option<&ContainerConfig>) -> Vec<Said> {
    let (file, mistakes) = Dockerfile::read_what_can_be(Path::new("Dockerfile"), text);
    let lint = Lint::new(&file, &mistakes, config);
    if image.is_some() {
        lint.walked(Walker::walk(&file, &config.options(), &|_| image.cloned()));
    }
    let Ok(options) = CheckOptions::of(&lint) else { return Vec::new() };
    let all = warnings(&lint, &options).into_iter();
    all.map(|one| (one.rule.id.0.to_owned(), one.lines.start, one.detail)).collect()
}

#[test]
fn buildkits_own_answers_are_ours() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/dockerfile/oracle"));
    if !folder.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "{} is absent", folder.display());
        eprintln!("not run: {} is absent", folder.display());
        return;
    }
    // As the oracle's README has it: bases resolve to this.
    let stub: ContainerConfig =
        serde_json::from_str(&format!(r#"{{"Env": ["PATH={}"], "Cmd": ["sh"]}}"#, "/usr/bin:/bin")).unwrap();
    let (mut compared, mut warned) = (0, 0);
    for row in std::fs::read_to_string(folder.join("oracle.jsonl")).unwrap().lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        let theirs: Vec<Said> = row["lint"].as_array().into_iter().flatten().map(of_oracle).collect();
        let ours = said(row["dockerfile"].as_str().unwrap(), &Config::default(), Some(&stub));
        // After a mistake BuildKit looks no further; ours goes on.
        let missing: Vec<&Said> = theirs.iter().filter(|one| !ours.contains(one)).collect();
        assert!(missing.is_empty(), "{}: {missing:#?}\nare not in {ours:#?}", row["id"]);
        if row["lint_error"].is_null() {
            assert_eq!(ours, theirs, "{}\n{}", row["id"], row["dockerfile"].as_str().unwrap());
        }
        compared += 1;
        warned += theirs.len();
    }
    assert_eq!((compared, warned), (210, 78));
}

fn of_oracle(one: &Value) -> Said {
    let text = |key: &str| one[key].as_str().unwrap().to_owned();
    (text("rule"), usize::try_from(one["line"].as_u64().unwrap()).unwrap(), text("detail"))
}

fn rules(text: &str, config: &Config) -> Vec<(String, usize)> {
    said(text, config, None).into_iter().map(|(rule, line, _)| (rule, line)).collect()
}

fn of(all: &[(&str, usize)]) -> Vec<(String, usize)> {
    all.iter().map(|(rule, line)| ((*rule).to_owned(), *line)).collect()
}

fn ignoring(text: &str) -> Config {
    let matcher = Matcher::new(text.lines()).unwrap();
    Config {
        ignore: Some(IgnoreFile { path: ".dockerignore".into(), text: text.to_owned(), matcher }),
        ..Config::default()
    }
}

fn given(arguments: &[(&str, &str)]) -> Config {
    let build_args = arguments.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config { build_args, ..Config::default() }
}

/// `dockerfile_check_test.go`: testCopyIgnoredFiles, testCopyIgnoredFileContextRoot.
#[test]
fn ignored_files_are_told_as_upstream_tells_them() {
    let both = "\nFROM scratch\nCOPY Dockerfile .\nADD Dockerfile /windy\n";
    let found = said(both, &ignoring("Dockerfile"), None);
    let detail = |name: &str| format!("Attempting to {name} file \"Dockerfile\" that is excluded by .dockerignore");
    let all: Vec<Said> =
        [("Copy", 3), ("Add", 4)].map(|(name, line)| ("CopyIgnoredFile".to_owned(), line, detail(name))).into();
    assert_eq!(found, all);
    assert_eq!(said(&format!("# check=skip=CopyIgnoredFile{both}"), &ignoring("Dockerfile"), None), []);
    let from = "\nFROM scratch AS base\nCOPY Dockerfile /foobar\n\nFROM base\nCOPY --from=base /foobar /Dockerfile\n";
    assert_eq!(said(from, &ignoring("foobar"), None), []);
    assert_eq!(said("FROM scratch\nCOPY ./Dockerfile .\n", &ignoring("**\n!Dockerfile"), None), []);
    assert_eq!(said("FROM scratch\nCOPY . .\n", &ignoring(".*"), None), []);
    let root = said("FROM scratch\nCOPY . .\n", &ignoring("*"), None);
    assert_eq!(root[0].2, "Attempting to Copy file \".\" that is excluded by .dockerignore");
}

/// testRuleCheckOption, testSecretsUsedInArgOrEnv, testMaintainerDeprecated: what silences what.
#[test]
fn comments_silence_as_upstream_has_it() {
    let file = "FROM scratch as base\ncopy Dockerfile .\n";
    let (from, casing) = (("FromAsCasing", 2), ("ConsistentInstructionCasing", 3));
    for (check, left) in [
        ("skip=all", vec![]),
        ("skip=all;error=true", vec![]),
        ("skip=ConsistentInstructionCasing,FromAsCasing", vec![]),
        ("skip=ConsistentInstructionCasing;error=true", vec![from]),
        ("error=true", vec![from, casing]),
    ] {
        assert_eq!(rules(&format!("#check={check}\n{file}"), &Config::default()), of(&left), "{check}");
        let given = given(&[("BUILDKIT_DOCKERFILE_CHECK", check)]);
        assert_eq!(rules(&format!("#check=skip=all\n{file}"), &given), of(&left), "{check}, given");
    }
    let own = "FROM scratch\n# check=skip=SecretsUsedInArgOrEnv // why\nENV password=bar\n# check=skip=all // here\nARG password\nENV key=\n";
    assert_eq!(rules(own, &Config::default()), of(&[("SecretsUsedInArgOrEnv", 6)]));
    for (wrong, why) in [
        ("nothing", "invalid check option \"nothing\""),
        ("what=1", "invalid check option \"what\""),
        ("error=perhaps", "failed to parse check option \"error=perhaps\""),
    ] {
        assert_eq!(CheckOptions::parse(wrong).unwrap_err(), why);
    }
}

/// testInvalidDefaultArgInFrom, testUndeclaredArg, testUnmatchedVars: arguments that are given.
#[test]
fn arguments_that_are_given_count_where_upstream_counts_them() {
    let version = "ARG VERSION\nFROM busybox:$VERSION\n";
    assert_eq!(rules(version, &given(&[("VERSION", "latest")])), of(&[("InvalidDefaultArgInFrom", 2)]));
    assert_eq!(rules("ARG V=\"latest\"\nFROM busybox:${V}\n", &given(&[("V", "latest")])), of(&[]));
    assert_eq!(rules("ARG V\nFROM busybox:stable${V}\n", &given(&[("V", "-musl")])), of(&[]));
    let stub = ContainerConfig::default();
    let with =
        |text: &str| said(text, &Config::default(), Some(&stub)).into_iter().map(|one| one.2).collect::<Vec<_>>();
    assert_eq!(
        with("FROM alpine\nARG DIR_ASSETS=assets/\nCOPY $DIR_ASSET .\n"),
        ["Usage of undefined variable '$DIR_ASSET' (did you mean $DIR_ASSETS?)"]
    );
    assert_eq!(
        with("FROM alpine\nENV PATH=$PAHT:/tmp/bin\n"),
        ["Usage of undefined variable '$PAHT' (did you mean $PATH?)"]
    );
    assert_eq!(with("FROM alpine AS base\nARG foo=Dockerfile\nFROM base\nCOPY $foo .\n"), [""; 0]);
    assert_eq!(
        with("FROM --platform=$BULIDPLATFORM scratch\n"),
        ["FROM argument 'BULIDPLATFORM' is not declared (did you mean BUILDPLATFORM?)"]
    );
    assert_eq!(with("FROM --platform=${TARGETPLATFORM} scratch\n").len(), 1);
}

/// Of an image that nobody knows, a variable may come from there: only slips of the pen are told.
#[test]
fn variables_that_an_unknown_image_may_bring_are_not_told() {
    let file = "FROM nobody/knows\nARG VERSION=1\nRUN true\nCOPY $CONDA_DIR /x\nCOPY a-$VERSOIN /y\n";
    assert_eq!(rules(file, &Config::default()), of(&[("UndefinedVar", 5)]));
    let stub = ContainerConfig::default();
    assert_eq!(said(file, &Config::default(), Some(&stub)).len(), 2);
}

#[test]
fn every_check_has_a_page_of_docker_and_its_words() {
    let pages: Vec<(&str, &str)> = CHECKS.iter().map(|rule| (rule.id.0, rule.name)).collect();
    for (id, name) in pages {
        // JSONArgsRecommended is json-args-recommended.
        let plain: String = name.split('-').collect();
        assert_eq!(plain, id.to_lowercase());
    }
    let ids: std::collections::BTreeSet<&str> = CHECKS.iter().map(|rule| rule.id.0).collect();
    assert_eq!(ids.len(), 22);
    // The linter asks each of them, or hadolint's rule for the same.
    for rule in &CHECKS {
        assert!(crate::rules::rule(rule.id.0).is_some(), "{} is asked by nobody", rule.id);
    }
}

/// The checks that the linter leaves to hadolint's rules, too: bad examples warn, good ones do not, fixes take warnings away.
#[test]
fn examples_of_all_checks_hold() {
    for rule in &CHECKS {
        let said = |text: &str| {
            let config = crate::rules::examples::config(text);
            let (file, mistakes) = Dockerfile::read_what_can_be(Path::new("Dockerfile"), text);
            rule.of_dockerfile(&Lint::new(&file, &mistakes, &config))
        };
        let bad = said(rule.bad);
        assert!(!bad.is_empty(), "{}\n{}", rule.id, rule.bad);
        assert_eq!(said(rule.good), [], "{}", rule.id);
        let Some(fix) = bad.iter().find_map(|finding| finding.fix.clone()) else { continue };
        let mut text = rule.bad.to_owned();
        let mut edits = fix.edits;
        edits.sort_by_key(|edit| std::cmp::Reverse(edit.span.range().start));
        edits.into_iter().for_each(|edit| text.replace_range(edit.span.range(), &edit.text));
        assert!(said(&text).len() < bad.len(), "{}: {text}", rule.id);
    }
}

/// What a file of a megabyte can ask for: variables that double, environments that each stage copies, triggers without end, names that
/// are almost others, lines without end.
#[test]
fn hostile_files_take_neither_long_nor_much() {
    let doubling = format!("FROM scratch\nENV A=xxxxxxxx\n{}", "ENV A=$A$A\n".repeat(1_000));
    let many: String = (0..1_200).map(|at| format!("ENV VARIABLE_{at}=x\n")).collect();
    let stages = format!("FROM scratch AS a\n{many}{}", "FROM a AS b\nENV X=1\n".repeat(1_200));
    let triggers = format!("FROM scratch AS a\n{}{}", "ONBUILD ENV A=b\n".repeat(1_200), "FROM a\n".repeat(1_200));
    let near = format!("FROM scratch\n{many}{}", "COPY $VARIABLE_X$VARIABEL_9 /\n".repeat(1_200));
    let lines = format!("FROM scratch\nRUN a \\\n{}b\n", "\n".repeat(50_000));
    let globals = format!("ARG A=xxxxxxxx\n{}FROM $A\n", "ARG A=$A$A\n".repeat(1_200));
    for text in [doubling, stages, triggers, near, lines, globals] {
        drop(said(&text, &Config::default(), None));
    }
}
