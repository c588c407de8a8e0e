//! BuildKit's own answers, from `../shared/data/dockerfile`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;

mod operations;

fn data() -> Option<PathBuf> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/dockerfile"));
    if !folder.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "{} is absent", folder.display());
        eprintln!("not run: {} is absent", folder.display());
        return None;
    }
    Some(folder.to_owned())
}

fn rows(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// As upstream prints its trees.
fn dump(instruction: &Instruction) -> String {
    let mut parts = vec![instruction.name.text.to_lowercase()];
    if !instruction.flags.is_empty() {
        let flags: Vec<String> = instruction.flags.iter().map(|flag| quote(&flag.text)).collect();
        parts.push(format!("[{}]", flags.join(" ")));
    }
    match &instruction.arguments {
        Arguments::Instruction(inner) => parts.push(dump(inner)),
        other => parts.extend(texts(other).iter().map(|text| quote(text))),
    }
    format!("({})", parts.join(" "))
}

/// As Go's `strconv.Quote`, as far as these files need it.
fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\t', "\\t"))
}

fn texts(arguments: &Arguments) -> Vec<String> {
    match arguments {
        Arguments::None | Arguments::Instruction(_) => Vec::new(),
        Arguments::Text(text) => vec![text.text.clone()],
        Arguments::Json(texts) => texts.clone(),
        Arguments::Words(words) => words.iter().map(|word| word.text.clone()).collect(),
        Arguments::Pairs(pairs) => pairs
            .iter()
            .flat_map(|pair| {
                let separator = if pair.old { "" } else { "=" };
                [pair.name.text.clone(), pair.value.text.clone(), separator.to_owned()]
            })
            .collect(),
        Arguments::Check(kind, rest) => [vec![kind.text.clone()], texts(rest)].concat(),
    }
}

#[test]
fn trees_are_upstreams() {
    let Some(data) = data() else { return };
    let mut compared = 0;
    for folder in fs::read_dir(data.join("parser/testfiles")).unwrap() {
        let folder = folder.unwrap().path();
        let text = fs::read_to_string(folder.join("Dockerfile")).unwrap();
        let expected = fs::read_to_string(folder.join("result")).unwrap();
        let read = Dockerfile::read(Path::new("Dockerfile"), &text).unwrap();
        let found: Vec<String> = read.instructions.iter().map(dump).collect();
        assert_eq!(found.join("\n"), expected.trim_end(), "{}", folder.display());
        compared += 1;
    }
    assert_eq!(compared, 20);
}

#[test]
fn what_upstream_refuses_is_refused() {
    let Some(data) = data() else { return };
    for folder in fs::read_dir(data.join("parser/testfiles-negative")).unwrap() {
        let folder = folder.unwrap().path();
        let text = fs::read_to_string(folder.join("Dockerfile")).unwrap();
        assert!(Dockerfile::read(Path::new("Dockerfile"), &text).is_err(), "{}", folder.display());
    }
}

#[test]
fn instructions_are_the_oracles() {
    let Some(data) = data() else { return };
    let rows = rows(&data.join("oracle/oracle.jsonl"));
    assert_eq!(rows.len(), 210);
    for row in rows {
        let text = row["dockerfile"].as_str().unwrap();
        let id = &row["id"];
        let read = Dockerfile::read(Path::new("Dockerfile"), text);
        let read = match read {
            Ok(read) => read,
            Err(mistakes) => {
                // A tree that BuildKit makes, and whose instructions it refuses afterwards.
                assert!(row.get("lint_error").is_some(), "{id}: {mistakes:?}");
                continue;
            }
        };
        let expected = row["ast"].as_array().unwrap();
        assert_eq!(read.instructions.len(), expected.len(), "{id}");
        assert_eq!(read.escape.to_string(), row["escape"].as_str().unwrap(), "{id}");
        for (found, expected) in read.instructions.iter().zip(expected) {
            same(found, expected, &format!("{id} {}", expected["original"]));
        }
    }
}

fn same(found: &Instruction, expected: &Value, what: &str) {
    let list = |key: &str| -> Vec<String> {
        let values = expected[key].as_array().cloned().unwrap_or_default();
        values.iter().map(|value| value.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(found.name.text.to_lowercase(), expected["value"].as_str().unwrap().to_lowercase(), "{what}");
    assert_eq!(found.lines.start as u64, expected["start_line"].as_u64().unwrap(), "{what}");
    assert_eq!(found.lines.end as u64 - 1, expected["end_line"].as_u64().unwrap(), "{what}");
    assert_eq!(found.flags.iter().map(|flag| flag.text.clone()).collect::<Vec<_>>(), list("flags"), "{what}");
    assert_eq!(found.line.comments, list("prev_comments"), "{what}");
    if !matches!(found.arguments, Arguments::Instruction(_)) {
        assert_eq!(texts(&found.arguments), list("args"), "{what}");
    }
    let heredocs = expected["heredocs"].as_array().cloned().unwrap_or_default();
    assert_eq!(found.heredocs.len(), heredocs.len(), "{what}");
    for (found, expected) in found.heredocs.iter().zip(heredocs) {
        assert_eq!(found.name, expected["Name"].as_str().unwrap(), "{what}");
        assert_eq!(found.content, expected["Content"].as_str().unwrap(), "{what}");
        assert_eq!(found.expand, expected["Expand"].as_bool().unwrap(), "{what}");
        assert_eq!(found.chomp, expected["Chomp"].as_bool().unwrap(), "{what}");
        assert_eq!(u64::from(found.descriptor), expected["FileDescriptor"].as_u64().unwrap(), "{what}");
    }
}

#[test]
fn variables_are_the_oracles() {
    let Some(data) = data() else { return };
    let rows = rows(&data.join("shell/random_oracle.jsonl"));
    assert_eq!(rows.len(), 3000);
    let variables = |name: &str| match name {
        "A" => Some("foobar".to_owned()),
        "B" => Some("x/y z".to_owned()),
        "E" => Some(String::new()),
        _ => None,
    };
    let mut wrong = Vec::new();
    for row in &rows {
        let lexer = Lexer::new(row["escape"].as_str().unwrap().chars().next().unwrap());
        let found = lexer.expand(row["input"].as_str().unwrap(), &variables);
        let expected = row.get("word").and_then(Value::as_str);
        let words: Option<Vec<String>> = row
            .get("words")
            .map(|words| serde_json::from_value::<Option<_>>(words.clone()).unwrap().unwrap_or_default());
        let text = found.as_ref().ok().map(|found| found.text.as_str());
        let unset = row.get("n_unmatched").and_then(Value::as_u64);
        let same_words = words.is_none() || found.as_ref().ok().map(|found| &found.words) == words.as_ref();
        let same_unset = unset.is_none() || found.as_ref().ok().map(|found| found.unset.len() as u64) == unset;
        if text != expected || !same_words || !same_unset {
            wrong.push(format!("{row}\n  {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong[..wrong.len().min(20)].join("\n"));
}

#[test]
fn the_tables_of_variables_hold() {
    let Some(data) = data() else { return };
    let table = fs::read_to_string(data.join("shell/envVarTest")).unwrap();
    let variables = |name: &str| match name {
        "PWD" => Some("/home".to_owned()),
        "SHELL" => Some("bash".to_owned()),
        "KOREAN" => Some("한국어".to_owned()),
        "NULL" => Some(String::new()),
        _ => None,
    };
    let mut compared = 0;
    for line in table.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let (platform, rest) = line.split_once('|').unwrap();
        let (input, expected) = rest.rsplit_once('|').unwrap();
        if platform.trim() == "W" {
            continue;
        }
        let found = Lexer::new('\\').expand(input.trim(), &variables).map(|found| found.text);
        match expected.trim() {
            "error" => assert!(found.is_err(), "{line}: {found:?}"),
            expected => assert_eq!(found.as_deref(), Ok(expected), "{line}"),
        }
        compared += 1;
    }
    assert!(compared > 180, "{compared}");
}

#[test]
fn the_tables_of_words_hold() {
    let Some(data) = data() else { return };
    let table = fs::read_to_string(data.join("shell/wordsTest")).unwrap();
    let mut known = std::collections::BTreeMap::new();
    let mut compared = 0;
    for line in table.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        if let Some(set) = line.strip_prefix("ENV ") {
            let (name, value) = set.split_once('=').unwrap();
            known.insert(name.to_owned(), value.to_owned());
            continue;
        }
        let (input, expected) = line.split_once(" | ").unwrap();
        let found = Lexer::new('\\').expand(input, &|name| known.get(name).cloned());
        match expected {
            "error" => assert!(found.is_err(), "{line}"),
            expected => assert_eq!(found.unwrap().words.join(","), expected, "{line}"),
        }
        compared += 1;
    }
    assert!(compared > 18, "{compared}");
}

/// What a user sees of two mistakes in one file.
#[test]
fn all_mistakes_are_told_each_at_its_place() {
    let text = "FROM a\nWORKDR /x\nENV a\nRUN <<EOF\nx\n";
    let mistakes = Dockerfile::read(Path::new("Dockerfile"), text).unwrap_err();
    let told: Vec<String> = mistakes
        .iter()
        .map(|mistake| {
            use corten_diagnostic::Diagnose as _;
            format!("{}: {mistake} ({})", mistake.span().unwrap(), mistake.hints().join("; "))
        })
        .collect();
    assert_eq!(
        told,
        [
            "Dockerfile:2:1: there is no instruction WORKDR (did you mean WORKDIR?)",
            "Dockerfile:3:5: ENV needs a name and a value (write name=value)",
            "Dockerfile:4:1: nothing ends the here-document EOF (a line with EOF alone ends it)",
        ]
    );
}

/// The image that stands for every base of the oracle.
fn stub() -> corten_oci::ImageConfig {
    let text = r#"{"architecture":"amd64","os":"linux","history":[{"created_by":"stub base"}],"rootfs":{"type":"layers",
        "diff_ids":["sha256:2222222222222222222222222222222222222222222222222222222222222222"]},
        "config":{"Cmd":["sh"],"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}}"#;
    corten_oci::ImageConfig::parse(text.as_bytes()).unwrap()
}

fn lowered(text: &str, target: Option<&str>) -> Result<corten_plan::recipe::Recipe, Vec<Failure>> {
    let platform = corten_oci::Platform::linux(corten_oci::Architecture::Amd64);
    let options = Options { target: target.map(str::to_owned), ..Options::new(platform.clone(), platform) };
    match Dockerfile::read(Path::new("Dockerfile"), text)?.lower(&options, &|_| Some(stub()))? {
        Lowered::Done(recipe) => Ok(recipe),
        Lowered::Asks(asks) => panic!("{asks:?} after all answers"),
    }
}

/// Config and history of every target of the oracle, and which targets are refused.
#[test]
fn images_are_the_oracles() {
    let Some(data) = data() else { return };
    let mut wrong = Vec::new();
    let (mut compared, mut refused) = (0, 0);
    for row in rows(&data.join("oracle/oracle.jsonl")) {
        let text = row["dockerfile"].as_str().unwrap();
        for (target, expected) in row["targets"].as_object().unwrap() {
            let id = format!("{} {target}", row["id"]);
            let found = lowered(text, (target != "(default)").then_some(target));
            match (found, expected.get("error")) {
                (Ok(found), None) => {
                    let config = serde_json::to_value(&found.stages.last().unwrap().config).unwrap();
                    wrong.extend(difference(&id, &config, &expected["image"]));
                    compared += 1;
                }
                (Err(_), Some(_)) => refused += 1,
                (Ok(_), Some(error)) => wrong.push(format!("{id}: taken, and there it is refused: {error}")),
                (Err(failures), None) => wrong.push(format!("{id}: {failures:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 280 && refused > 15, "{compared} {refused}");
}

fn difference(id: &str, found: &Value, expected: &Value) -> Vec<String> {
    let mut all = Vec::new();
    for key in ["architecture", "os", "author", "history"] {
        if found.get(key) != expected.get(key) {
            all.push(format!("{id} {key}:\n  {:?}\n  {:?}", found.get(key), expected.get(key)));
        }
    }
    let mut config = expected["config"].clone();
    if let Some(config) = config.as_object_mut() {
        // Docker's mark for Windows, which says nothing elsewhere.
        config.remove("ArgsEscaped");
    }
    if found["config"] != config {
        all.push(format!("{id} config:\n  {}\n  {config}", found["config"]));
    }
    all
}

/// As BuildKit's `namedContext` has them: before stages and images, under any way to write the name.
#[test]
fn names_of_contexts_stand_for_stages_and_images() {
    use corten_plan::recipe::{Action, Base, Files};
    let platform = corten_oci::Platform::linux(corten_oci::Architecture::Amd64);
    let mut options = Options::new(platform.clone(), platform);
    options.contexts.insert("python:3.11-slim".to_owned(), Named::Image);
    options.contexts.insert("docs".to_owned(), Named::Folder);
    options.contexts.insert("tools".to_owned(), Named::Folder);
    options.labels.insert("a".to_owned(), "b".to_owned());
    let text = "FROM scratch AS Tools\nRUN never\nFROM docker.io/library/python:3.11-slim\nCOPY --from=docs a /\n\
        COPY --from=tools b /\n";
    let read = Dockerfile::read(Path::new("Dockerfile"), text).unwrap();
    let Ok(Lowered::Asks(asked)) = read.lower(&options, &|_| None) else { panic!("it asks for nothing") };
    assert_eq!(asked.iter().map(|base| base.image.as_str()).collect::<Vec<_>>(), ["python:3.11-slim"]);
    let Ok(Lowered::Done(recipe)) = read.lower(&options, &|_| Some(stub())) else { panic!("it is refused") };
    let froms = |stage: usize| {
        let steps = recipe.stages[stage].steps.iter();
        let of = steps.filter_map(|step| match &step.action {
            Action::Copy(copy) => Some(copy.from.clone()),
            _ => None,
        });
        of.collect::<Vec<_>>()
    };
    assert_eq!(recipe.stages[0].base, Base::Scratch);
    assert_eq!(recipe.stages[0].steps.len(), 1, "nothing of the replaced stage is done");
    assert_eq!(froms(0), [Files::Folder("tools".to_owned())]);
    assert_eq!(froms(1), [Files::Folder("docs".to_owned()), Files::Stage(0)]);
    assert_eq!(recipe.stages[1].config.config.labels.as_ref().unwrap()["a"], "b");
}
