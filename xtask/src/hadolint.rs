//! Corten's rules beside hadolint's: the same finding at the same line, counted for each rule.
//!
//! `cargo xtask hadolint [--mirrors FOLDER]` gets the Dockerfiles of `corpus.txt` from their repositories (FOLDER has them already,
//! as `owner+name/repo`), lints them with both, and prints the tables of `docs/lint.md`. The texts belong to others and stay
//! outside; each is what it was when the list was made, by its SHA-256. It fails where the two agree too little, or a rule
//! speaks too often.
//!
//! Files that one of them cannot read are left out, and so is what [`DIFFERENCES`] names. For a RUN hadolint tells one of
//! ShellCheck's findings only, the last: of these it is counted which of its own are told here, too, and where it tells none.

mod corpus;
mod differences;
mod rates;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::peers::Peer;
use crate::shell::root;

use corpus::Corpus;
use differences::is_different;
pub use differences::{DIFFERENCES, Difference};

/// A finding: which file, which line, which rule.
pub type Told = (String, usize, String);

/// A rule's figures.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Row {
    /// What hadolint tells.
    pub theirs: usize,
    /// Of these, what Corten tells.
    pub both: usize,
    /// What Corten alone tells.
    pub extra: usize,
    /// Left out, as one of [`DIFFERENCES`].
    pub different: usize,
}

/// Both sides of the files that both could read.
#[derive(Debug, Default)]
pub struct Comparison {
    /// By rule.
    pub rows: BTreeMap<String, Row>,
    /// What hadolint alone tells.
    pub missing: Vec<Told>,
    /// What Corten alone tells.
    pub extra: Vec<Told>,
    /// Files that hadolint could not read.
    pub unread: BTreeSet<String>,
    /// Files that Corten could not read.
    pub unread_here: BTreeSet<String>,
}

impl Comparison {
    /// Compares rules with hadolint's own numbers; `text` gives a file's text.
    pub fn of(ours: &[Told], theirs: &[Told], text: &dyn Fn(&str) -> String) -> Self {
        let unread = |told: &[Told]| -> BTreeSet<String> {
            told.iter().filter(|(_, _, rule)| rule == "DL1000").map(|(file, ..)| file.clone()).collect()
        };
        let mut comparison = Self { unread: unread(theirs), unread_here: unread(ours), ..Self::default() };
        let left_out = &comparison.unread | &comparison.unread_here;
        let counted = |told: &[Told]| -> BTreeSet<Told> {
            let is_rule = |rule: &str| rule.starts_with("DL") && rule != "DL1000";
            told.iter().filter(|(file, _, rule)| is_rule(rule) && !left_out.contains(file)).cloned().collect()
        };
        let (ours, theirs) = (counted(ours), counted(theirs));
        for told in ours.union(&theirs) {
            let row = comparison.rows.entry(told.2.clone()).or_default();
            match (ours.contains(told), theirs.contains(told)) {
                (true, true) => (row.theirs, row.both) = (row.theirs + 1, row.both + 1),
                _ if is_different(told, &text(&told.0)) => row.different += 1,
                (false, _) => {
                    row.theirs += 1;
                    comparison.missing.push(told.clone());
                }
                (true, false) => {
                    row.extra += 1;
                    comparison.extra.push(told.clone());
                }
            }
        }
        comparison
    }

    /// All rules together.
    pub fn total(&self) -> Row {
        self.rows.values().fold(Row::default(), |sum, row| Row {
            theirs: sum.theirs + row.theirs,
            both: sum.both + row.both,
            extra: sum.extra + row.extra,
            different: sum.different + row.different,
        })
    }

    /// As a table of Markdown.
    pub fn table(&self) -> String {
        let mut table =
            "| rule | hadolint | the same | hadolint alone | Corten alone | left out |\n|---|--:|--:|--:|--:|--:|\n"
                .to_owned();
        let total = self.total();
        for (rule, row) in self.rows.iter().map(|(rule, row)| (rule.as_str(), row)).chain([("all", &total)]) {
            let Row { theirs, both, extra, different } = row;
            // A text always takes what is written.
            let _ = writeln!(table, "| {rule} | {theirs} | {both} | {} | {extra} | {different} |", theirs - both);
        }
        table
    }
}

/// Do comments in a file that silence rules count?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pragmas {
    /// As they do for users.
    Heeded,
    /// All is told.
    Disabled,
}

/// What hadolint tells of files.
///
/// # Errors
/// When it is not there, or says what is no JSON.
pub fn told(files: &[PathBuf], pragmas: Pragmas) -> Result<Vec<Told>, String> {
    let program = Peer::program("hadolint")?;
    let mut all = Vec::new();
    for some in files.chunks(100) {
        let mut command = Command::new(&program);
        // Settings of whoever runs it count for nothing.
        command.current_dir("/").env("HOME", "/nonexistent").env("XDG_CONFIG_HOME", "/nonexistent");
        unset(&mut command, "HADOLINT_");
        command.args(["--no-color", "--no-fail", "--format", "json"]).args(some);
        if pragmas == Pragmas::Disabled {
            command.arg("--disable-ignore-pragma");
        }
        all.extend(findings(&mut command)?.iter().filter_map(|finding| one(finding, "code")));
    }
    Ok(all)
}

fn unset(command: &mut Command, start: &str) {
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| name.to_string_lossy().starts_with(start)).for_each(|name| {
        command.env_remove(name);
    });
}

/// What the program says of files, and the severities of its rules.
fn told_by_corten(program: &Path, files: &[PathBuf]) -> Result<(Vec<Told>, BTreeMap<String, String>), String> {
    let settings = root().join("target/no-settings.yaml");
    fs::write(&settings, "{}\n").map_err(|error| format!("cannot write {}: {error}", settings.display()))?;
    let (mut all, mut severities) = (Vec::new(), BTreeMap::new());
    for some in files.chunks(100) {
        let mut command = Command::new(program);
        unset(&mut command, "HADOLINT_");
        command.env_remove("BUILDKIT_DOCKERFILE_CHECK");
        command.args(["lint", "--disable-ignore-pragma", "--format", "json", "--config"]).arg(&settings).args(some);
        for finding in findings(&mut command)? {
            let told = one(&finding, "rule").ok_or("a finding of Corten has no place")?;
            severities.insert(told.2.clone(), finding["severity"].as_str().unwrap_or_default().to_owned());
            all.push(told);
        }
    }
    Ok((all, severities))
}

/// A list of JSON, or one within an object.
fn findings(command: &mut Command) -> Result<Vec<serde_json::Value>, String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot start {}: {error}", command.get_program().display()))?;
    let mut value: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{} says what is no JSON: {error}", command.get_program().display()))?;
    let list = if value.is_array() { value.take() } else { value["findings"].take() };
    match list {
        serde_json::Value::Array(list) => Ok(list),
        _ => Err(format!("{} says no findings", command.get_program().display())),
    }
}

/// Its `file`, `line`, and the rule by a name.
fn one(finding: &serde_json::Value, rule: &str) -> Option<Told> {
    let line = usize::try_from(finding["line"].as_u64()?).ok()?;
    Some((finding["file"].as_str()?.to_owned(), line, finding[rule].as_str()?.to_owned()))
}

/// Prints the tables for the corpus.
///
/// # Errors
/// When a file is another than it was, one of the programs fails, Corten says less than 99 % of what hadolint says or more
/// than 1 % besides, or a rule speaks too often.
pub fn measure(words: &[&str]) -> Result<(), String> {
    let mirrors = match words {
        [] => None,
        ["--mirrors", folder] => Some(Path::new(*folder)),
        _ => return Err("usage: cargo xtask hadolint [--mirrors FOLDER]".to_owned()),
    };
    let Corpus { files, missing } = corpus::fetch(mirrors, &root().join("target/dockerfiles"))?;
    missing.iter().for_each(|why| eprintln!("missing: {why}"));
    if files.is_empty() {
        return Err("none of the Dockerfiles could be had".to_owned());
    }
    crate::shell::run(crate::shell::cargo().args(["build", "--quiet", "--locked", "-p", "corten"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |path| root().join(path));
    let (ours, severities) = told_by_corten(&target.join("debug/corten"), &files)?;
    let theirs = told(&files, Pragmas::Disabled)?;
    let text =
        |file: &str| fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let comparison = Comparison::of(&ours, &theirs, &text);
    let rates = rates::rates(&ours, &severities);
    let left_out = &comparison.unread | &comparison.unread_here;
    println!(
        "{} files; {} of them hadolint cannot read, {} Corten cannot\n\n{}\n{}\n{}",
        files.len(),
        comparison.unread.len(),
        comparison.unread_here.len(),
        comparison.table(),
        rates::shell_table(&ours, &theirs, &left_out, &text),
        rates::table(&rates, files.len())
    );
    for (word, told) in [("hadolint alone", &comparison.missing), ("Corten alone", &comparison.extra)] {
        told.iter().for_each(|(file, line, rule)| println!("{word}: {file}:{line} {rule}"));
    }
    let Row { theirs, both, extra, .. } = comparison.total();
    if both * 100 < theirs * 99 || extra * 100 > theirs {
        return Err(format!("hadolint tells {theirs} findings: {both} of them are told, and {extra} others"));
    }
    match rates.iter().find(|rate| rate.is_too_loud(files.len())) {
        Some(rate) => Err(format!("{rate:?}: no warning may speak so often")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_alone_is_counted() {
        let told = |line, rule: &str| ("f".to_owned(), line, rule.to_owned());
        let ours = [told(2, "DL3008"), told(3, "DL3009"), told(9, "ML101")];
        let theirs = [told(2, "DL3008"), told(4, "DL3015"), told(1, "SC2086"), told(5, "DL3025")];
        let text = |_: &str| "FROM a\nb\nc\nd\nHEALTHCHECK CMD x\n".to_owned();
        let comparison = Comparison::of(&ours, &theirs, &text);
        assert_eq!(comparison.total(), Row { theirs: 2, both: 1, extra: 1, different: 1 });
        assert_eq!((comparison.missing, comparison.extra), (vec![told(4, "DL3015")], vec![told(3, "DL3009")]));
        let unread = [told(1, "DL1000"), told(2, "DL3008")];
        assert_eq!(Comparison::of(&ours, &unread, &text).total(), Row::default());
    }
}
