//! What `docker buildx build` answers without building: `--call`, `--check`, and the warnings that a build tells, too.

use corten_testkit::command::Ran;

use crate::dockerfile::Place;

const ASKED: &str = "# The version to build
ARG VERSION=1.0
ARG BASE=scratch

# base is where all begins
FROM ${BASE} AS base
# what to say
ARG WHAT=hello
ARG NODEF
# NAMED is described & \"quoted\"
ARG NAMED=${WHAT}-x \\
    MORE=1
# out: the last
FROM base AS out
ARG WHAT
ARG TARGETARCH
RUN --mount=type=secret,id=tok,required echo $WHAT
RUN --mount=type=secret,target=/etc/opt.txt --mount=type=ssh true
";

/// What buildx 0.37.2 with BuildKit 0.33.1 answers about this file.
#[test]
fn call_answers_as_buildx_does() {
    let place = Place::with(ASKED);
    assert_eq!(
        place.run("build --call outline").expect(0).stdout,
        "TARGET: out

BUILD ARG   VALUE     DESCRIPTION
BASE        scratch   
NODEF                 
NAMED       hello-x   is described & \"quoted\"
MORE        1         
WHAT                  

SECRET    REQUIRED
tok       true
opt.txt   

SSH       REQUIRED
default   
"
        .trim_end_matches(['\n', ' '])
        .to_owned()
            + "\n"
    );
    assert_eq!(
        place.run("build --call=targets").expect(0).stdout,
        "TARGET        DESCRIPTION\nbase          is where all begins\nout (default) \n"
    );
    let range = |lines: &[u32]| {
        let ranges: Vec<_> =
            lines.iter().map(|n| serde_json::json!({"start": {"line": n}, "end": {"line": n}})).collect();
        serde_json::json!({"ranges": ranges})
    };
    let outline = place.run("build --call outline,format=json --target base --build-arg WHAT=given").expect(0).json();
    assert_eq!(outline["name"], "base");
    assert_eq!(outline["description"], "is where all begins");
    assert_eq!(
        outline["args"],
        serde_json::json!([
            {"name": "BASE", "value": "scratch", "location": range(&[3])},
            {"name": "WHAT", "value": "given", "location": range(&[8])},
            {"name": "NODEF", "location": range(&[9])},
            {"name": "NAMED", "value": "given-x", "description": "is described & \"quoted\"", "location": range(&[11, 12])},
            {"name": "MORE", "value": "1", "location": range(&[11, 12])},
        ])
    );
    assert_eq!(outline.get("secrets"), None);
    let targets = place.run("build --call targets,format=json").expect(0).json();
    assert_eq!(
        targets["targets"],
        serde_json::json!([
            {"name": "base", "description": "is where all begins", "base": "${BASE}", "location": range(&[6])},
            {"name": "out", "default": true, "base": "base", "location": range(&[14])},
        ])
    );
}

#[test]
fn check_finds_every_mistake_and_builds_nothing() {
    let place = Place::with("FROM far.example.org/x\nRUN --mount=type=bind,source=/a,target=/b true\nCOPY a /\n");
    assert_eq!(place.run("build --check --offline").expect(0).stdout, "Check complete, no warnings found.\n");
    place.write("Dockerfile", "FROM scratch\nRUM x\nCOPPY a /\n");
    let ran = place.run("build --check").expect(1);
    assert!(ran.stderr.contains("error: there is no instruction RUM\n --> Dockerfile:2:1\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--> Dockerfile:3:1"), "{}", ran.stderr);
    place.run("build --call check,ignorestatus=true").expect(0);
    let told = place.run("build --call check,format=json").expect(1).json();
    assert_eq!(told["buildError"]["message"], "there is no instruction RUM");
    assert_eq!(told["buildError"]["location"]["ranges"][0]["start"]["line"], 2);
    assert_eq!((&told["sources"][0]["filename"], &told["warnings"]), (&"Dockerfile".into(), &serde_json::json!([])));
    place.run("build --call check,format=json,ignorestatus=true").expect(0).json();
    // What is wrong with the question is no answer.
    let ran = place.run("build --call check,ignorestatus=true -f nowhere").expect(2);
    assert!(ran.stderr.contains("error: there is no nowhere\n"), "{}", ran.stderr);
    place.write("Dockerfile", "FROM scratch AS 1x\n");
    let told = place.run("build --call check,format=json").expect(1).json();
    assert_eq!(told["warnings"], serde_json::json!([]));
    assert_eq!(told["buildError"]["location"]["ranges"][0]["start"]["line"], 1);
    for (flags, why) in [
        ("--call x", "error: --call x: 'x' is not known\n"),
        ("--call outline,format=xml", "error: --call outline,format=xml: 'format=xml' is not known\n"),
        ("--call outline,targets", "error: --call outline,targets: it asks two things\n"),
    ] {
        let ran = place.run(&format!("build {flags}")).expect(2);
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
        assert!(ran.stderr.contains("hint: there are check, outline, targets, and ,format=json\n"), "{}", ran.stderr);
    }
}

/// What a Dockerfile says is told, and drives no terminal; tabs stay.
#[test]
fn answers_of_call_drive_no_terminal() {
    let hostile = "\u{1b}]0;evil\u{7}\u{9b}2J";
    let text = format!("FROM scratch as base\n# A is {hostile}\nARG A=\"{hostile}\"\nENV K\tv{hostile}\n");
    let place = Place::with(&text);
    let lines = [("build --check", 1), ("build --call outline", 0), ("build --call targets", 0), ("build", 0)];
    for (line, status) in lines {
        // As at a terminal, where nothing is stripped.
        let mut command = place.command(line);
        let ran = Ran::from(command.env("CLICOLOR_FORCE", "1").output().unwrap()).expect(status);
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!["\u{1b}]", "\u{7}", "\u{9b}"].iter().any(|bad| all.contains(bad)), "{line}: {all:?}");
    }
    let ran = place.run("build --check").expect(1);
    assert!(ran.stdout.contains("ENV K\tv\u{fffd}]0;evil\u{fffd}"), "{:?}", ran.stdout);
}

/// The text is that of buildx (`commands/build.go`, `solver/errdefs/source.go`), the JSON that of `frontend.lint`.
#[test]
fn check_warns_as_buildx_does() {
    let place = Place::with("FROM scratch as base\ncopy Dockerfile \\\n  .\nENV A 1\nLABEL a=b\n");
    let ran = place.run("build --check").expect(1);
    let url = "https://docs.docker.com/go/dockerfile/rule";
    assert_eq!(
        ran.stdout,
        format!(
            "\
Check complete, 3 warnings have been found!

WARNING: FromAsCasing - {url}/from-as-casing/
'as' and 'FROM' keywords' casing do not match
Dockerfile:1
--------------------
   1 | >>> FROM scratch as base
   2 |     copy Dockerfile \\
   3 |       .
--------------------

WARNING: ConsistentInstructionCasing - {url}/consistent-instruction-casing/
Command 'copy' should match the case of the command majority (uppercase)
Dockerfile:2
--------------------
   1 |     FROM scratch as base
   2 | >>> copy Dockerfile \\
   3 | >>>   .
   4 |     ENV A 1
--------------------

WARNING: LegacyKeyValueFormat - {url}/legacy-key-value-format/
\"ENV key=value\" should be used instead of legacy \"ENV key value\" format
Dockerfile:4
--------------------
   2 |     copy Dockerfile \\
   3 |       .
   4 | >>> ENV A 1
   5 |     LABEL a=b
   6 |     
--------------------
"
        )
    );
    place.run("build --call check,ignorestatus=true").expect(0);
    let told = place.run("build --call check,format=json").expect(1).json();
    assert_eq!(
        told["warnings"][0],
        serde_json::json!({
            "ruleName": "FromAsCasing",
            "description": "The 'as' keyword should match the case of the 'from' keyword",
            "url": format!("{url}/from-as-casing/"),
            "detail": "'as' and 'FROM' keywords' casing do not match",
            "location": {"ranges": [{"start": {"line": 1}, "end": {"line": 1}}]},
        })
    );
    assert_eq!(told["warnings"].as_array().unwrap().len(), 3);
    let ran = place.run("build --call check --build-arg BUILDKIT_DOCKERFILE_CHECK=skip=all").expect(0);
    assert_eq!(ran.stdout, "Check complete, no warnings found.\n");
    let ran = place.run("build --call check --build-arg BUILDKIT_DOCKERFILE_CHECK=what").expect(2);
    let error = "error: --build-arg BUILDKIT_DOCKERFILE_CHECK=what: invalid check option \"what\"\n";
    assert!(ran.stderr.ends_with(error), "{}", ran.stderr);
}

/// Warnings and mistakes, all of them.
#[test]
fn check_tells_warnings_beside_all_mistakes() {
    let place = Place::with("FROM scratch AS Base\nMAINTAINER me\nBADCMD\nRUM x\n");
    let told = place.run("build --call check,format=json").expect(1).json();
    let rules: Vec<&str> =
        told["warnings"].as_array().unwrap().iter().map(|one| one["ruleName"].as_str().unwrap()).collect();
    assert_eq!(rules, ["StageNameCasing", "MaintainerDeprecated"]);
    let lines: Vec<u64> = told["mistakes"].as_array().unwrap().iter().map(line_of).collect();
    assert_eq!(lines, [3, 4]);
    assert_eq!(told["buildError"]["message"], "there is no instruction BADCMD");
    let ran = place.run("build --check").expect(1);
    assert!(ran.stdout.starts_with("Check complete, 2 warnings have been found!\n"), "{}", ran.stdout);
    assert!(ran.stderr.contains("Dockerfile:3:1") && ran.stderr.contains("Dockerfile:4:1"), "{}", ran.stderr);
}

fn line_of(one: &serde_json::Value) -> u64 {
    one["location"]["ranges"][0]["start"]["line"].as_u64().unwrap()
}

#[test]
fn a_build_warns_at_its_end_and_fails_where_the_file_says_so() {
    let place = Place::with("FROM scratch as base\nCOPY Dockerfile /\nFROM base\nCMD run it\n");
    let warned = "
 2 warnings found (corten build --check shows where):
 - FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)
 - JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals (line 4)
";
    let ran = place.run("build").expect(0);
    assert!(ran.stderr.contains(warned), "{}", ran.stderr);
    assert!(!place.run("build --quiet").expect(0).stderr.contains("warning"));
    let told = place.run("build --format json").expect(0).json();
    assert_eq!(told["findings"][0]["rule"], "FromAsCasing");
    // What the target does not need is not looked at, but for its words.
    let ran = place.run("build --target base").expect(0);
    assert!(ran.stderr.contains("\n 1 warning found") && !ran.stderr.contains("JSONArgs"), "{}", ran.stderr);
    place.write("Dockerfile", "# check=error=true\nFROM scratch as base\nCOPY nowhere /\n");
    let ran = place.run("build").expect(1);
    let error = "\
error: lint violation found for rules: FromAsCasing
hint: the Dockerfile says so: # check=error=true
error: FromAsCasing: 'as' and 'FROM' keywords' casing do not match
 --> Dockerfile:2:14
  |
2 | FROM scratch as base
  |              ^^
hint: https://docs.docker.com/go/dockerfile/rule/from-as-casing/
";
    assert!(ran.stderr.ends_with(error), "{}", ran.stderr);
    place.write("Dockerfile", "# check=skip=all;error=true\nFROM scratch as base\nCOPY Dockerfile /\n");
    place.run("build").expect(0);
    place.write("Dockerfile", "# check=what=1\nFROM scratch\nCOPY Dockerfile /\n");
    let ran = place.run("build").expect(1);
    let error = "\
error: failed to parse check options: invalid check option \"what\"
 --> Dockerfile:1:1
  |
1 | # check=what=1
  | ^^^^^^^^^^^^^^
hint: write # check=skip=RULE,RULE;error=true
";
    assert!(ran.stderr.ends_with(error), "{}", ran.stderr);
}
