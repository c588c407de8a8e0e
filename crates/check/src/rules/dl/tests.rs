//! Fixes as they are written, lines as hadolint tells them, commands as it reads them.

use std::path::Path;

use corten_diagnostic::{Finding, Fix, Place};

use crate::lint::{Choice, Config, lint_dockerfile};
use crate::rules::{Rule, dl, shell};

fn examples() -> impl Iterator<Item = &'static Rule> {
    dl::RULES.iter().chain(&shell::RULES)
}

fn findings(rule: &Rule, text: &str) -> Vec<Finding> {
    let choice = Choice { select: vec![rule.id.0.to_owned()], ..Choice::default() };
    lint_dockerfile(Path::new("Dockerfile"), text, &Config::default(), &choice).findings
}

fn apply(text: &str, fix: &Fix) -> String {
    let mut edits: Vec<_> = fix.edits.iter().collect();
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.span.range().start));
    edits.into_iter().fold(text.to_owned(), |mut text, edit| {
        text.replace_range(edit.span.range(), &edit.text);
        text
    })
}

/// What a fix makes of a text, by the one finding in it.
fn fixed(id: &str, text: &str) -> Option<String> {
    let rule = examples().find(|rule| rule.id.0 == id).unwrap();
    let found = findings(rule, text);
    assert_eq!(found.len(), 1, "{text}: {found:?}");
    found[0].fix.as_ref().map(|fix| apply(text, fix))
}

#[test]
fn what_is_appended_looks_like_what_is_there() {
    let text =
        "FROM debian:12\nRUN apt-get update \\\n    # first\n    && apt-get install -y a=1 \\\n    && echo done\n";
    let after = fixed("DL3009", text).unwrap();
    assert!(after.ends_with("    && echo done \\\n    && rm -rf /var/lib/apt/lists/*\n"), "{after}");
    let after = fixed("DL3009", "FROM a\nRUN set -e; apt-get update; apt-get install x;\n").unwrap();
    assert_eq!(after, "FROM a\nRUN set -e; apt-get update; apt-get install x && rm -rf /var/lib/apt/lists/*;\n");
    assert_eq!(fixed("DL3009", "FROM a\nRUN apt-get update &\n"), None, "nobody waits for it");
    assert_eq!(fixed("DL3009", "FROM a\nRUN [\"apt-get\", \"update\"]\n"), None);
    let heredoc = "FROM a\nRUN <<E\napt-get update\napt-get install x\nE\n";
    let after = fixed("DL3009", heredoc).unwrap();
    assert_eq!(after, "FROM a\nRUN <<E\napt-get update\napt-get install x && rm -rf /var/lib/apt/lists/*\nE\n");
}

#[test]
fn flags_go_where_they_are_read() {
    let after = fixed("DL3014", "FROM a\nRUN apt-get update && \\\n  apt-get install \\\n  curl=1\n").unwrap();
    assert_eq!(after, "FROM a\nRUN apt-get update && \\\n  apt-get install -y \\\n  curl=1\n");
    let after = fixed("DL3042", "FROM a\nRUN python3 -m pip install x && pip3 install y\n").unwrap();
    assert_eq!(after, "FROM a\nRUN python3 -m pip install --no-cache-dir x && pip3 install --no-cache-dir y\n");
    assert_eq!(fixed("DL3029", "FROM --platform=linux/amd64 a AS b\n").unwrap(), "FROM a AS b\n");
    assert_eq!(fixed("DL3027", "FROM a\nRUN apt list\n"), None, "apt-get has no list");
    let after = fixed("DL4000", "FROM a\nMAINTAINER A \"B\" $C <a@b.c>\n").unwrap();
    assert_eq!(after, "FROM a\nLABEL org.opencontainers.image.authors=\"A \\\"B\\\" \\$C <a@b.c>\"\n");
    assert_eq!(fixed("DL3025", "FROM a\nCMD python $X\n"), None, "a shell knows $X");
    assert_eq!(fixed("DL4003", "FROM a\nCMD [\"x\"]\nCMD [\"y\"]\n").unwrap(), "FROM a\nCMD [\"y\"]\n");
    assert_eq!(
        fixed("SC2102", "FROM a\nRUN pip install a[standard]\n").unwrap(),
        "FROM a\nRUN pip install 'a[standard]'\n"
    );
}

#[test]
fn what_stands_behind_another_program_is_left_as_it_is() {
    for (rule, run) in [
        ("DL3046", "command useradd -u 1234567 x"),
        ("DL3046", "exec useradd -u 1234567 x"),
        ("DL3046", "\"useradd\" -u 1234567 x"),
        ("DL3047", "busybox wget https://example.com/a"),
        ("DL3047", "command wget https://example.com/a"),
        ("DL3027", "command apt install -y x"),
        ("DL3027", "exec apt install -y x"),
        ("DL3014", "apt-get \"install\" x"),
    ] {
        assert_eq!(fixed(rule, &format!("FROM debian:12\nRUN {run}\n")), None, "{run}");
    }
    let after = fixed("DL3014", "FROM a\nRUN command apt-get install x\n").unwrap();
    assert_eq!(after, "FROM a\nRUN command apt-get install -y x\n");
}

/// busybox knows no --progress, and distroless images have no bash: neither is changed without asking.
#[test]
fn programs_of_debian_are_expected_where_they_are() {
    let is_safe = |rule: &str, text: &str| {
        let rule = examples().find(|one| one.id.0 == rule).unwrap();
        findings(rule, text).last().and_then(|finding| Some(finding.fix.as_ref()?.safe))
    };
    let wget = "RUN wget https://example.com/a\n";
    for (from, safe) in [
        ("FROM debian:12\n", true),
        ("FROM nvidia/cuda:12.8.1-base-ubuntu24.04 AS a\nFROM a\n", true),
        ("FROM alpine:3.22\n", false),
        ("FROM python:3.13-alpine\n", false),
        ("FROM busybox:1.37\n", false),
        ("FROM example.com/own:1\n", false),
        ("FROM alpine:3.22\nRUN apk add --no-cache wget\n", true),
        ("FROM alpine:3.22 AS a\nRUN apk add --no-cache wget\nFROM a\n", true),
        ("FROM alpine:3.22 AS a\nRUN apk add --no-cache wget\nFROM alpine:3.22\n", false),
    ] {
        assert_eq!(is_safe("DL3047", &format!("{from}{wget}")), Some(safe), "{from}");
    }
    let pipe = "RUN a | b\n";
    for (image, safe) in [
        ("debian:12", true),
        ("alpine:3.22", true),
        ("gcr.io/distroless/python3-debian12:debug", false),
        ("example.com/own:1", false),
    ] {
        assert_eq!(is_safe("DL4006", &format!("FROM {image}\n{pipe}")), Some(safe), "{image}");
    }
}

#[test]
fn a_range_of_numbers_is_no_name() {
    for pattern in ["/tmp/part[1-10]", "/tmp/part[0011]"] {
        assert_eq!(fixed("SC2102", &format!("FROM a\nRUN rm -f {pattern}\n")), None, "{pattern}");
    }
}

/// As hadolint tells it: at the line that the instruction begins on, once.
#[test]
fn findings_stand_at_the_line_of_their_instruction() {
    let rule = examples().find(|rule| rule.id.0 == "DL3008").unwrap();
    let found = findings(rule, "FROM a\nRUN true && \\\n  apt-get install -y x && \\\n  apt-get install -y y z\n");
    let [Finding { at: Place::Text(span), message, .. }] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((span.position(), message.as_str()), ((2, 1), "x, y and 1 more have no version"));
    let found = findings(rule, "FROM a\nRUN apt-get install -y x\n");
    let [Finding { at: Place::Text(span), .. }] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(span.position(), (2, 24), "the package, where it stands on that line");
}

#[test]
fn commands_are_read_as_hadolint_reads_them() {
    let has = |id: &str, line: &str| {
        let rule = examples().find(|rule| rule.id.0 == id).unwrap();
        !findings(rule, &format!("FROM debian:12\n{line}\n")).is_empty()
    };
    assert!(has("DL3008", "RUN [\"apt-get\", \"install\", \"-y\", \"x\"]"));
    assert!(has("DL3008", "ONBUILD RUN apt-get install -y x"));
    assert!(!has("DL3008", "RUN sudo apt-get install -y x"), "its command is sudo");
    assert!(has("DL3008", "RUN apt-get install -y -t stable x=1 \"$Y\""));
    assert!(!has("DL3008", "RUN apt-get install -y -t stable x=1"));
    assert!(has("DL3003", "RUN x=$(cd /a && pwd)"));
    assert!(!has("DL3003", "RUN sh -c 'cd /a'"));
    assert!(has("DL3016", "RUN npm install @scope/name"));
    assert!(!has("DL3016", "RUN npm install @scope/name@1"));
    assert!(has("DL3059", "RUN a\nRUN b"));
    assert!(!has("DL3059", "RUN a\nRUN b && c"));
    assert!(!has("DL3059", "RUN a\nRUN --network=none b"));
    assert!(!has("DL3059", "RUN --mount=type=cache,target=/a,id=b a\nRUN b"));
    assert!(has("DL3059", "RUN --mount=type=cache,target=/a,id=b a\nRUN --mount=id=b,type=cache,target=/a b"));
    assert!(has("DL4006", "SHELL [\"/bin/bash\", \"-c\"]\nRUN a | b"));
    assert!(!has("DL4006", "SHELL [\"/bin/bash\", \"-euo\", \"pipefail\", \"-c\"]\nRUN a | b"));
    assert!(!has("DL3042", "ENV PIP_NO_CACHE_DIR=1\nRUN pip install x"));
    assert!(!has("DL3042", "RUN --mount=type=cache,target=/root/.cache/pip pip install x"));
    assert!(has("DL3009", "RUN apt-get update"));
    assert!(!has("DL3009", "RUN apt-get update\nFROM debian:12 AS b"), "its stage is in no image");
}

#[test]
fn backticks_stay_where_brackets_would_mean_something_else() {
    for text in ["echo `(cd x && pwd)`", "echo `date # now`", "echo $`a`", "echo `echo \\$a`"] {
        assert_eq!(fixed("SC2006", &format!("FROM a\nRUN {text}\n")), None, "{text}");
    }
    assert_eq!(fixed("SC2006", "FROM a\nRUN a=`b c`\n").unwrap(), "FROM a\nRUN a=$(b c)\n");
}

#[test]
fn a_pattern_that_is_more_than_one_of_files_is_not_quoted() {
    for text in ["ls ~/a[foo]", "ls a[foo]{b,c}"] {
        assert_eq!(fixed("SC2102", &format!("FROM a\nRUN {text}\n")), None, "{text}");
    }
}

#[test]
fn a_pattern_of_add_may_meet_archives() {
    for source in ["dist/*", "a?", "[ab]"] {
        assert_eq!(fixed("DL3020", &format!("FROM a\nADD {source} /app/\n")), None, "{source}");
    }
    assert_eq!(fixed("DL3020", "FROM a\nADD dist /app/\n").unwrap(), "FROM a\nCOPY dist /app/\n");
}

/// What is said of the last CMD or ENTRYPOINT that is a text: whether its fix is safe; none where there is none.
fn is_safe(text: &str) -> Option<bool> {
    let rule = examples().find(|rule| rule.id.0 == "DL3025").unwrap();
    findings(rule, text).last().unwrap().fix.as_ref().map(|fix| fix.safe)
}

#[test]
fn a_list_is_safe_only_where_the_shell_does_nothing_else() {
    for (text, wanted) in [
        ("FROM a\nCMD python app.py\n", Some(true)),
        ("FROM a\nSHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]\nCMD python app.py\n", Some(true)),
        ("FROM a\nSHELL [\"conda\", \"run\", \"-n\", \"e\", \"/bin/bash\", \"-c\"]\nCMD python app.py\n", Some(false)),
        ("FROM a\nSHELL [\"/bin/bash\", \"-lc\"]\nCMD python app.py\n", Some(false)),
        ("FROM a\nSHELL [\"/bin/bash\", \"--login\", \"-c\"]\nCMD python app.py\n", Some(false)),
        ("FROM a\nSHELL [\"/bin/bash\", \"-ic\"]\nCMD python app.py\n", Some(false)),
        ("FROM a\nSHELL [\"/bin/bash\", \"/start.sh\", \"-c\"]\nCMD python app.py\n", Some(false)),
        ("FROM a\n# hadolint shell=bash\nCMD python app.py\n", Some(false)),
        ("FROM a\nENV BASH_ENV=/env.sh\nSHELL [\"/bin/bash\", \"-c\"]\nCMD python app.py\n", Some(false)),
        ("FROM a AS b\nENTRYPOINT [\"x\"]\nFROM b\nCMD python app.py\n", Some(false)),
        ("FROM a AS b\nENTRYPOINT python app.py\nFROM b\nCMD [\"x\"]\n", Some(false)),
        ("FROM a AS b\nENTRYPOINT [\"x\"]\nFROM c\nCMD python app.py\n", Some(true)),
        ("FROM a\nCMD exit 1\n", None),
        ("FROM a\nCMD ulimit -n 9\n", None),
        ("FROM a\nCMD until x\n", None),
    ] {
        assert_eq!(is_safe(text), wanted, "{text}");
    }
    let many = |stages: usize| "FROM a AS b\n".repeat(stages) + "CMD python app.py\n";
    assert_eq!([is_safe(&many(64)), is_safe(&many(65))], [Some(true), Some(false)]);
}

#[test]
fn a_shell_stands_above_the_comments_of_its_run() {
    let shell = "SHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]\n";
    let text = "FROM debian:12\n# first\n\n# why\n# hadolint ignore=DL3047\nRUN wget -qO- x | tar x\n";
    let wanted =
        format!("FROM debian:12\n# first\n\n{shell}# why\n# hadolint ignore=DL3047\nRUN wget -qO- x | tar x\n");
    assert_eq!(fixed("DL4006", text).unwrap(), wanted);
}
