//! Flags of `docker buildx build`: what they do to the image, and what buildx itself answers.

use std::fs;

use crate::at_terminal::write_root;
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
    assert!(ran.stderr.contains("error: there is no instruction RUM\n  --> Dockerfile:2:1\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--> Dockerfile:3:1"), "{}", ran.stderr);
    place.run("build --call check,ignorestatus=true").expect(0);
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

#[test]
fn ulimits_are_those_of_run() {
    let place = Place::with("FROM scratch\nCOPY root /\nRUN echo $(ulimit -Sn):$(ulimit -Hn) >/limits\n");
    write_root(&place);
    let limits = |flags: &str| {
        place.run(&format!("build --network none {flags} -o out")).expect(0);
        fs::read_to_string(place.path().join("out/limits")).unwrap()
    };
    assert_eq!(limits("--ulimit nofile=777:888"), "777:888\n");
    // As in BuildKit, a step with other limits is another step.
    assert_eq!(limits("--ulimit nofile=555"), "555:555\n");
    let ran = place.run("build --ulimit files=1").expect(2);
    assert!(ran.stderr.contains("error: --ulimit 'files=1': there is no such limit\n"), "{}", ran.stderr);
}

#[test]
fn annotations_go_where_they_are_sent() {
    let place = Place::with("FROM scratch\nCOPY x /\n");
    place.write("x", "1");
    place.run("build --annotation a=1=2 --annotation manifest[linux/amd64]:b=3 --platform linux/amd64 -o type=oci,tar=false,dest=o").expect(0);
    let read = |path: String| -> serde_json::Value {
        serde_json::from_slice(&fs::read(place.path().join("o").join(path)).unwrap()).unwrap()
    };
    let index = read("index.json".into());
    let digest = index["manifests"][0]["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
    assert_eq!(read(digest)["annotations"], serde_json::json!({"a": "1=2", "b": "3"}));
    for (flags, why) in [
        (
            "--annotation index:a=1 -o type=oci,dest=y",
            "error: --annotation index:…: an image of one platform has no index\n",
        ),
        ("--annotation a=1", "error: --annotation: without an output nothing has a manifest\n"),
        ("--annotation a -o type=oci,dest=y", "error: --annotation a: it has no value\n"),
    ] {
        let ran = place.run(&format!("build {flags}")).expect(2);
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
    }
}
