//! What is known of Dockerfiles: stages, shells, variables, places; what comments silence; hostile texts.

use std::path::Path;

use corten_diagnostic::Severity;

use super::*;

/// Calls `look` with the model of a text.
fn with<T>(text: &str, look: impl FnOnce(&Lint<'_>) -> T) -> T {
    let (file, mistakes) = Dockerfile::read_what_can_be(Path::new("Dockerfile"), text);
    let config = Config::default();
    look(&Lint::new(&file, &mistakes, &config))
}

fn ids(text: &str, choice: &Choice) -> Vec<&'static str> {
    let linted = lint_dockerfile(Path::new("Dockerfile"), text, &Config::default(), choice);
    linted.findings.iter().map(|finding| finding.rule.0).collect()
}

fn only(rules: &[&str]) -> Choice {
    Choice { select: rules.iter().map(|rule| (*rule).to_owned()).collect(), ..Choice::default() }
}

#[test]
fn stages_stand_on_each_other() {
    let text = "ARG V=12\nFROM debian:$V AS Base\nRUN a\nFROM base AS two\nRUN b\nFROM scratch\nFROM ${X}\nFROM 0\n";
    with(text, |lint| {
        let bases: Vec<Base> = lint.stages.iter().map(|stage| stage.base).collect();
        assert_eq!(bases, [Base::Image, Base::Stage(0), Base::Scratch, Base::Image, Base::Image]);
        assert_eq!(lint.stages[0].expanded.as_deref(), Some("debian:12"));
        assert_eq!(lint.stages[3].expanded, None);
        assert_eq!(lint.root_of(&lint.stages[1]).number, 0);
        assert_eq!(lint.steps_of(&lint.stages[1]).len(), 1);
        assert_eq!(lint.target().unwrap().number, 4);
    });
}

#[test]
fn variables_are_those_in_force() {
    let text =
        "ARG G=g\nFROM a AS one\nARG G\nARG L=1\nENV E=$L$G F=$E\nENV E=2\nRUN x\nFROM one\nRUN y\nFROM b\nRUN z\n";
    with(text, |lint| {
        let value = |step: usize, name: &str| {
            let step = &lint.steps[step];
            lint.definition(step, name).map(|one| one.value.clone())
        };
        assert_eq!(value(6, "G"), Some(Some("g".into())));
        assert_eq!(value(6, "E"), Some(Some("2".into())));
        assert_eq!(value(5, "E"), Some(Some("1g".into())));
        assert_eq!(value(6, "F"), Some(None), "E had no value before that line");
        assert_eq!(value(8, "E"), Some(Some("2".into())));
        assert_eq!(value(10, "E"), None);
        assert_eq!(lint.expand(&lint.steps[8], "${E}x${N:-d}").as_deref(), Some("2xd"));
        assert_eq!(lint.expand(&lint.steps[8], "${N}"), None);
    });
}

#[test]
fn the_shell_is_that_of_the_stage() {
    let text = "FROM a AS one\nSHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]\nRUN x\nFROM one\nRUN x\nFROM b\nRUN x\n\
                # hadolint shell=powershell\nRUN x\n";
    with(text, |lint| {
        let shell = |step: usize| (lint.steps[step].shell.dialect, lint.steps[step].shell.pipefail);
        assert_eq!(shell(2), (Some(Dialect::Bash), true));
        assert_eq!(shell(4), (Some(Dialect::Bash), true));
        assert_eq!(shell(6), (Some(Dialect::Sh), false));
        assert_eq!(shell(7), (None, false));
        assert!(lint.steps[7].script.is_none());
    });
}

/// Every node's place is the text that it was read from.
#[test]
fn places_are_those_of_the_dockerfile() {
    let text = "FROM a\nRUN apt-get update && \\\n  # why\n\n  apt-get  install \\\n curl \\\n && bash -c 'x \\\n   y' <<EOF\nhi $Z\nEOF\n\
                RUN <<-EOF\n\tone  two\n\tEOF\nRUN [\"three\", \"a b\"]\nHEALTHCHECK --interval=3s CMD four || exit 1\nONBUILD RUN five six\n";
    with(text, |lint| {
        let mut seen = Vec::new();
        for (_, script) in lint.scripts() {
            script.visit(&mut |visited, _| {
                if let crate::shell::Visited::Word(word, _) = visited {
                    seen.push(lint.text(word.at.clone()).to_owned());
                }
            });
        }
        let expected = [
            "apt-get",
            "update",
            "apt-get",
            "install",
            "curl",
            "bash",
            "-c",
            "'x \\\n   y'",
            "x",
            "y",
            "EOF",
            "one",
            "two",
            "\"three\"",
            "\"a b\"",
            "four",
            "exit",
            "1",
            "five",
            "six",
        ];
        assert_eq!(seen, expected);
    });
}

#[test]
fn comments_silence_what_they_name() {
    let bad = "RUN apt-get install -y x\n";
    for (head, expected) in [
        ("", vec!["DL3008"]),
        ("# hadolint ignore=DL3008\n", vec![]),
        ("#hadolint ignore=DL3009,DL3008\n", vec![]),
        ("# hadolint ignore = DL3009 , DL3008\n", vec![]),
        ("# corten ignore=DL3008\n", vec![]),
        ("# hadolint ignore=DL3009\n", vec!["DL3008"]),
        ("# hadolint ignore=DL3008\n\n", vec!["DL3008"]),
        ("# check=skip=DL3008\n", vec![]),
        ("# hadolint ignore=DL3008\nRUN b\n", vec!["DL3008"]),
        ("RUN <<EOF\n# hadolint ignore=DL3008\nEOF\n", vec!["DL3008"]),
    ] {
        let text = format!("FROM a\n{head}{bad}");
        assert_eq!(ids(&text, &only(&["DL3008"])), expected, "{text}");
    }
    let global = format!("# hadolint global ignore=DL3008\n\nFROM a\n{bad}");
    assert_eq!(ids(&global, &only(&["DL3008"])), [""; 0]);
    let disabled = Choice { no_pragmas: true, ..only(&["DL3008"]) };
    assert_eq!(ids(&global, &disabled), ["DL3008"]);
    let directive = format!("# check=skip=DL3008;error=true\nFROM a\n{bad}");
    assert_eq!(ids(&directive, &only(&["DL3008"])), [""; 0]);
    let overridden = Choice { check: Some("skip=none".into()), ..only(&["DL3008"]) };
    assert_eq!(ids(&directive, &overridden), ["DL3008"]);
}

#[test]
fn comments_of_compose_files_stand_for_lines() {
    let text = "# corten ignore=ML171\na: 1\nb: 2 # corten ignore=ML172\nc: 3\n# corten global ignore=ML173\n";
    let comments = super::suppress::Comments::of_lines(text, &Choice::default());
    let silent = |line: usize| comments.at(line).join(" ");
    assert_eq!([silent(1), silent(2), silent(3)], ["ML173 ML171", "ML173 ML172", "ML173"]);
    let none = Choice { no_pragmas: true, ..Choice::default() };
    assert_eq!(super::suppress::Comments::of_lines(text, &none).at(1), [""; 0]);
}

#[test]
fn rules_are_chosen_by_number_beginning_and_severity() {
    let text = "FROM a\nRUN apt-get update && apt-get install -y $x\n";
    assert!(ids(text, &only(&["DL30"])).contains(&"DL3009") && !ids(text, &only(&["DL30"])).contains(&"SC2086"));
    assert_eq!(ids(text, &only(&["sc2086"])), ["SC2086"]);
    let ignored = Choice { ignore: vec!["SC".into()], ..only(&["all"]) };
    assert!(!ids(text, &ignored).contains(&"SC2086"));
    let choice = Choice {
        severities: vec![("DL".into(), Severity::Error), ("DL3009".into(), Severity::Info)],
        ..only(&["DL3009"])
    };
    let linted = lint_dockerfile(Path::new("f"), text, &Config::default(), &choice);
    assert_eq!(linted.findings[0].severity, Severity::Info);
}

#[test]
fn mistakes_are_findings_beside_those_of_what_could_be_read() {
    let text = "FROM a\nCOPPY b c\nRUN apt-get install -y x\nEXPOSE\n";
    assert_eq!(ids(text, &only(&["DL1000", "DL3008"])), ["DL1000", "DL3008", "DL1000"]);
}

#[test]
fn days_are_those_of_the_calendar() {
    // `date -u -d @… +%F`
    for (seconds, year, month, day) in [
        (0, 1970, 1, 1),
        (951_782_400, 2000, 2, 29),
        (1_709_251_199, 2024, 2, 29),
        (1_709_251_200, 2024, 3, 1),
        (1_798_675_200, 2026, 12, 31),
    ] {
        assert_eq!(Date::of(seconds), Date { year, month, day });
    }
}

/// Variables that double: 2^100 bytes, if somebody expanded them.
#[test]
fn what_a_file_makes_of_itself_is_bounded() {
    let mut text = "FROM a\nENV A0=0123456789\n".to_owned();
    for n in 1..100 {
        text.push_str(&format!("ENV A{n}=$A{}$A{}\n", n - 1, n - 1));
    }
    text.push_str("RUN echo $A99\n");
    with(&text, |lint| {
        assert_eq!(lint.definitions().last().unwrap().value, None);
        assert!(lint.definitions()[3].value.as_ref().is_some_and(|value| value.len() == 80));
    });
    let many = "ENV A=$A\n".repeat(20_000);
    with(&format!("FROM a\n{many}"), |lint| assert_eq!(lint.definitions().len(), 20_000));
}

/// Texts of the shared data, cut and changed: nothing panics, and what is found stands in the text.
#[test]
fn nothing_panics_on_mutated_dockerfiles() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below.max(1) as u64).unwrap_or_default()
    };
    const PIECES: [&str; 30] = [
        "$(",
        "`",
        "\"",
        "'",
        "\\",
        "\\\n",
        "<<EOF",
        "EOF\n",
        "${",
        "}",
        "((",
        "))",
        "[[ ",
        " ]]",
        "é",
        "\u{feff}",
        "\0",
        "\r\n",
        "# ",
        "&&",
        "|",
        ";;",
        "RUN ",
        "FROM ",
        "ENV A=",
        "[\"",
        "]",
        "case x in ",
        "esac",
        "<(",
    ];
    for text in texts() {
        for _ in 0..3 {
            let mut mutated: Vec<char> = text.chars().take(4000).collect();
            for _ in 0..random(6) {
                let at = random(mutated.len() + 1);
                match random(3) {
                    0 => drop(mutated.drain(at..(at + random(20)).min(mutated.len()))),
                    1 => drop(mutated.splice(at..at, PIECES[random(PIECES.len())].chars())),
                    _ => mutated.truncate(at.max(10)),
                }
            }
            let mutated: String = mutated.into_iter().collect();
            let linted = lint_dockerfile(Path::new("f"), &mutated, &Config::default(), &Choice::default());
            for finding in linted.findings {
                let Place::Text(span) = &finding.at else { continue };
                assert!(mutated.get(span.range()).is_some(), "{finding:?} in {mutated:?}");
                for edit in finding.fix.iter().flat_map(|fix| &fix.edits) {
                    assert!(mutated.get(edit.span.range()).is_some(), "{edit:?} in {mutated:?}");
                }
            }
        }
    }
}

/// All Dockerfiles of the shared data: files, and those in the lines of the oracle.
pub(crate) fn texts() -> Vec<String> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/dockerfile"));
    if !folder.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "{} is absent", folder.display());
        return Vec::new();
    }
    let (mut texts, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().to_lowercase());
            if path.is_dir() {
                folders.push(path);
            } else if name.contains("dockerfile") {
                texts.extend(std::fs::read_to_string(path));
            } else if name == "oracle.jsonl" {
                let all = std::fs::read_to_string(path).unwrap();
                let rows = all.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
                texts.extend(rows.filter_map(|row| row["dockerfile"].as_str().map(str::to_owned)));
            }
        }
    }
    assert!(texts.len() > 100, "{}", texts.len());
    texts
}
