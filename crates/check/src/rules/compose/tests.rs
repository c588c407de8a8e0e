//! Traps of the rules about compose files, and a file of a guide.

use std::path::Path;

use corten_diagnostic::{Finding, Place};
use corten_frontend::yaml::Document;

use crate::fix::{Wanted, fix};
use crate::lint::{Choice, Config, lint_compose};
use crate::rules::Subject;

fn findings(text: &str, rule: &str) -> Vec<Finding> {
    let choice = Choice { select: vec![rule.to_owned()], ..Choice::default() };
    let document = Document::read(Path::new("compose.yaml"), text).unwrap();
    lint_compose(&document, &Config::default(), &choice).findings
}

/// Rules and lines.
fn told(text: &str, rule: &str) -> Vec<(&'static str, usize)> {
    let line = |finding: &Finding| match &finding.at {
        Place::Text(span) => span.position().0,
        _ => 0,
    };
    findings(text, rule).iter().map(|finding| (finding.rule.0, line(finding))).collect()
}

fn service(body: &str) -> String {
    let lines = body.lines().map(|line| format!("    {line}\n"));
    format!("services:\n  x:\n{}", lines.collect::<String>())
}

#[test]
fn traps() {
    for (rule, body) in [
        ("ML171", "command: torchrun train.py\nipc: host"),
        ("ML171", "command: torchrun train.py\ntmpfs:\n  - /dev/shm:size=8g"),
        ("ML171", "command: train.py --num-workers 0"),
        ("ML171", "command: gunicorn --workers 4 app:app"),
        ("ML171", "deploy: {resources: {reservations: {devices: [{driver: nvidia, count: 1, capabilities: [gpu]}]}}}"),
        ("ML172", "runtime: nvidia\nenvironment: [CUDA_VISIBLE_DEVICES=2]"),
        (
            "ML172",
            "deploy: {resources: {reservations: {devices: [{driver: nvidia, count: all, capabilities: [gpu]}]}}}\nenvironment: [\"CUDA_VISIBLE_DEVICES=0,1\"]",
        ),
        (
            "ML174",
            "environment:\n  DB_PASSWORD: ${DB_PASSWORD}\n  DB_PASSWORD_FILE: /run/secrets/x\n  USE_TOKEN: 'false'\n  API_TOKEN:",
        ),
        ("ML174", "environment: [API_TOKEN, MAX_TOKENS=512]"),
        ("ML174", "profiles: [dev]\nenvironment: [DB_PASSWORD=dev]"),
        ("ML175", "privileged: false\ncap_add: [NET_ADMIN]"),
        ("ML175", "privileged: 'true'"),
        ("ML176", "volumes: [\"./docker.sock.md:/x\"]"),
        ("ML178", "image: nvidia/cuda:12\nruntime: nvidia"),
        ("ML178", "image: nvidia/cuda:12\ndevices: [nvidia.com/gpu=all]"),
        ("ML178", "image: a\nenvironment: {NVIDIA_VISIBLE_DEVICES: none}"),
    ] {
        assert_eq!(told(&service(body), rule), [], "{rule}\n{body}");
    }
    assert_eq!(told("version: '3'\n", "ML173"), [], "no compose file");
}

#[test]
fn what_is_told_and_where() {
    for (rule, body, lines) in [
        ("ML171", "image: a\ncommand: [torchrun, train.py]", vec![4]),
        (
            "ML171",
            "deploy: {resources: {reservations: {devices: [{driver: nvidia, device_ids: ['0', '1'], capabilities: [gpu]}]}}}",
            vec![3],
        ),
        (
            "ML172",
            "deploy: {resources: {reservations: {devices: [{driver: nvidia, count: 1, device_ids: ['0'], capabilities: [gpu]}]}}}",
            vec![3],
        ),
        (
            "ML172",
            "environment: ['CUDA_VISIBLE_DEVICES=2,3']\ndeploy: {resources: {reservations: {devices: [{driver: nvidia, device_ids: ['2', '3'], capabilities: [gpu]}]}}}",
            vec![3],
        ),
        ("ML174", "environment:\n  - POSTGRES_PASSWORD=dev\n  - A=hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ012345", vec![4, 5]),
        ("ML175", "cap_add: [CAP_SYS_ADMIN]", vec![3]),
        ("ML176", "volumes:\n  - type: bind\n    source: /run/docker.sock\n    target: /s", vec![4]),
        ("ML178", "environment:\n  CUDA_VISIBLE_DEVICES: '0'", vec![4]),
    ] {
        let all: Vec<usize> = told(&service(body), rule).into_iter().map(|(_, line)| line).collect();
        assert_eq!(all, lines, "{rule}\n{body}");
    }
}

/// Anchors, aliases and merge keys are what they stand for.
#[test]
fn what_is_merged_counts() {
    let text = "\
x-gpu: &gpu
  deploy:
    resources:
      reservations:
        devices:
          - driver: nvidia
            count: 2
            capabilities: [gpu]
services:
  a:
    <<: *gpu
    image: a
  b:
    <<: *gpu
    image: b
    shm_size: 1gb
";
    assert_eq!(told(text, "ML171"), [("ML171", 6)]);
}

/// ../shared/data/guides/compose.yaml: a version, a password for development, a dependency that is only started.
#[test]
fn the_guides_stack_gets_what_is_right() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/guides/compose.yaml"));
    let Ok(text) = std::fs::read_to_string(path) else {
        assert!(std::env::var_os("CI").is_none(), "{} is absent", path.display());
        return;
    };
    assert_eq!(told(&text, "all"), [("ML173", 1), ("ML177", 28), ("ML174", 39)]);
}

/// What fixes make of a text, and how many they were.
fn mended(text: &str, wanted: Wanted) -> (String, usize) {
    let find = |text: &str| {
        Document::read(Path::new("compose.yaml"), text).map_or_else(
            |_| Vec::new(),
            |document| lint_compose(&document, &Config::default(), &Choice::default()).findings,
        )
    };
    let fixed = fix(Path::new("compose.yaml"), text, Subject::Compose, wanted, &find);
    (fixed.text, fixed.made.len())
}

#[test]
fn a_version_goes_by_itself_and_shared_memory_is_asked_for() {
    let rest = service("image: a:1\ncommand: torchrun train.py");
    let text = format!("version: '3.8'\n{rest}");
    assert_eq!(mended(&text, Wanted::Safe), (rest.clone(), 1));
    assert_eq!(mended(&text, Wanted::All), (rest.replace("    image", "    shm_size: 8gb\n    image"), 2));
}

#[test]
fn a_version_that_is_an_alias_stays() {
    let text = "x-version: &v '3'\nversion: *v\nservices:\n  a:\n    image: a:1\n";
    assert_eq!(told(text, "ML173"), [("ML173", 2)]);
    assert_eq!(findings(text, "ML173")[0].fix, None);
    assert_eq!(mended(text, Wanted::Safe), (text.to_owned(), 0));
}
