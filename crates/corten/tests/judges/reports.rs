//! The linter's reports against the schemas of those who read them, and against what hadolint writes of the same file; its
//! language server against an editor.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::place::{command, debian, done, new_folder};

/// Something for each severity, fixes, places over several lines, and names that have to be escaped.
const DOCKERFILE: &str = "FROM debian:latest as Base\nRUN apt-get update && \\\n    apt-get install curl é😀 \"<&>\"\nMAINTAINER me\n\
    RUN cd /tmp && sudo true\nCMD echo $HOME\n";

const OTHER: &str = "from scratch\nENV PASSWORD x\n";

/// Two files with findings, and one without.
fn folder(name: &str) -> PathBuf {
    let folder = new_folder(name);
    for (file, text) in [("Dockerfile", DOCKERFILE), ("a b&c.Dockerfile", OTHER), ("good.Dockerfile", "FROM scratch\n")]
    {
        fs::write(folder.join(file), text).unwrap();
    }
    folder
}

/// What `corten lint` prints of them; findings end it with 1.
fn report(folder: &Path, format: &str) -> Vec<u8> {
    let mut corten = command(Path::new(env!("CARGO_BIN_EXE_corten")), ["lint", "--format", format]);
    corten.args(["Dockerfile", "a b&c.Dockerfile", "good.Dockerfile"]).current_dir(folder);
    let output = corten.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn sarif_is_what_its_schema_says() {
    let Some(schema) = xtask::peers::need("sarif-2.1.0.json") else { return };
    let folder = folder("sarif");
    let log = folder.join("log.sarif");
    fs::write(&log, report(&folder, "sarif")).unwrap();
    assert_eq!(mistakes(&schema, &log), "");
    let mut broken: Value = serde_json::from_slice(&fs::read(&log).unwrap()).unwrap();
    broken["runs"][0]["results"][0]["level"] = "style".into();
    fs::write(&log, broken.to_string()).unwrap();
    assert!(mistakes(&schema, &log).contains("'style' is not one of"), "a schema that refuses nothing");
}

/// What Python's jsonschema says about a document, a line each.
fn mistakes(schema: &Path, document: &Path) -> String {
    let program = "import json, sys, jsonschema\n\
        schema, document = [json.load(open(path)) for path in sys.argv[1:]]\n\
        for error in jsonschema.Draft7Validator(schema).iter_errors(document): print(error.message[:200])";
    let mut python = Command::new("python3");
    done(python.args(["-W", "ignore", "-c", program]).args([schema, document]))
}

#[test]
fn junit_is_what_its_schema_says() {
    let (Some(schema), Some(xmllint)) = (xtask::peers::need("junit-10.xsd"), debian("xmllint")) else { return };
    let folder = folder("junit");
    let file = folder.join("report.xml");
    fs::write(&file, report(&folder, "junit")).unwrap();
    done(Command::new(xmllint).args(["--noout", "--nonet", "--schema"]).args([&schema, &file]));
}

/// Names of elements with their attributes, by Python's reader of XML.
fn elements(text: &[u8], folder: &Path) -> BTreeSet<String> {
    let file = folder.join("elements.xml");
    fs::write(&file, text).unwrap();
    let program = "import sys, xml.etree.ElementTree as tree\n\
        for one in tree.parse(sys.argv[1]).iter():\n    print(one.tag)\n    for name in one.attrib: print(one.tag, name)";
    done(Command::new("python3").args(["-c", program]).arg(&file)).lines().map(str::to_owned).collect()
}

fn hadolint(folder: &Path, format: &str) -> Option<Vec<u8>> {
    let hadolint = xtask::peers::need("hadolint")?;
    let mut hadolint = command(&hadolint, ["--format", format, "--no-fail", "Dockerfile", "a b&c.Dockerfile"]);
    Some(hadolint.current_dir(folder).output().unwrap().stdout)
}

#[test]
fn checkstyle_has_the_elements_of_hadolint() {
    let folder = folder("checkstyle");
    let Some(theirs) = hadolint(&folder, "checkstyle") else { return };
    assert_eq!(elements(&report(&folder, "checkstyle"), &folder), elements(&theirs, &folder));
}

/// Each path of keys to a value, with the kind of the value.
fn keys(value: &Value, above: &str, keys_of: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(key, value)| keys(value, &format!("{above}/{key}"), keys_of)),
        Value::Array(array) => array.iter().for_each(|value| keys(value, &format!("{above}/*"), keys_of)),
        Value::String(_) => drop(keys_of.insert(format!("{above}: text"))),
        Value::Number(_) => drop(keys_of.insert(format!("{above}: number"))),
        Value::Bool(_) | Value::Null => drop(keys_of.insert(format!("{above}: other"))),
    }
}

fn keys_of(text: &[u8]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for part in text.split(|byte| *byte == 0).filter(|part| !part.trim_ascii().is_empty()) {
        keys(&serde_json::from_slice(part).unwrap(), "", &mut all);
    }
    all
}

#[test]
fn issues_have_what_hadolint_writes_for_gitlab_and_code_climate() {
    let folder = folder("issues");
    for (ours, theirs) in [("gitlab", "gitlab_codeclimate"), ("codeclimate", "codeclimate"), ("sarif", "sarif")] {
        let Some(theirs) = hadolint(&folder, theirs) else { return };
        let (ours, theirs) = (keys_of(&report(&folder, ours)), keys_of(&theirs));
        let missing: Vec<_> = theirs.difference(&ours).filter(|key| !key.to_lowercase().contains("language")).collect();
        let version = |key: &&&String| !key.contains("/driver/");
        assert_eq!(missing.iter().filter(version).count(), 0, "{missing:?}");
    }
}

/// What an editor does: attaches the server, waits for diagnostics, asks for actions and makes the first one that mends.
const EDITOR: &str = r#"
local function say(text) io.stdout:write(text .. "\n") end
vim.cmd("edit " .. vim.env.FILE)
local id = vim.lsp.start_client({ name = "corten", cmd = { vim.env.CORTEN, "lsp" }, root_dir = vim.fn.getcwd() })
vim.lsp.buf_attach_client(0, id)
local found = vim.wait(20000, function() return #vim.diagnostic.get(0) > 0 end, 20)
if not found then say("no diagnostics") vim.cmd("cquit") end
for _, one in ipairs(vim.diagnostic.get(0)) do
  say(string.format("%d:%d-%d:%d %s", one.lnum, one.col, one.end_lnum, one.end_col, one.code or one.user_data.lsp.code))
end
local params = { textDocument = vim.lsp.util.make_text_document_params(0), context = { diagnostics = {} },
  range = { start = { line = 1, character = 0 }, ["end"] = { line = 1, character = 60 } } }
local answers = vim.lsp.buf_request_sync(0, "textDocument/codeAction", params, 20000)
for _, action in ipairs(answers[id].result) do
  if action.isPreferred then
    vim.lsp.util.apply_workspace_edit(action.edit, "utf-16")
    say("made: " .. action.title)
    break
  end
end
say(table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "|"))
vim.lsp.stop_client(id)
vim.cmd("qall!")
"#;

#[test]
fn neovim_shows_and_mends() {
    let Some(nvim) = debian("nvim") else { return };
    let folder = new_folder("neovim");
    fs::write(folder.join("Dockerfile"), "FROM debian:12\nRUN true é😀 && apt-get install curl\nUSER 1\n").unwrap();
    fs::write(folder.join("editor.lua"), EDITOR).unwrap();
    let mut nvim = command(&nvim, ["--headless", "-u", "NONE", "-n", "-c", "luafile editor.lua"]);
    nvim.env("FILE", "Dockerfile").env("CORTEN", env!("CARGO_BIN_EXE_corten")).env("HOME", &folder);
    let said = done(nvim.current_dir(&folder));
    assert!(said.contains("DL3014"), "{said}");
    assert!(said.contains("FROM debian:12|RUN true é😀 && apt-get install -y curl|USER 1"), "{said}");
}
