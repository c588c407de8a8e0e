//! Corten's rules beside hadolint's: the same finding at the same line, counted for each rule.
//!
//! `cargo xtask hadolint [--mirrors FOLDER]` gets the Dockerfiles of `corpus.txt` from their repositories (FOLDER has them already,
//! as `owner+name/repo`), lints them with both, and prints the table of `docs/lint.md`. The texts belong to others and stay
//! outside; each is what it was when the list was made, by its SHA-256.
//!
//! Files that hadolint cannot read are left out, and so is what [`DIFFERENCES`] names. For a RUN hadolint tells one of
//! ShellCheck's findings only, the last: of these it is counted which of its own are told here, too, and where it tells none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::peers::Peer;
use crate::shell::root;

/// `github OWNER/NAME COMMIT`, then `SHA-256 PATH` for each file.
const CORPUS: &str = include_str!("hadolint/corpus.txt");

/// A finding: which file, which line, which rule.
pub type Told = (String, usize, String);

/// Where Corten says something else on purpose.
pub struct Difference {
    /// The rules.
    pub rules: &'static [&'static str],
    /// What the file looks like, as `docs/lint.md` has it.
    pub shape: &'static str,
    /// Is it this, by the text from the line of the finding on?
    is: fn(&str) -> bool,
}

/// All of them; `docs/lint.md` says why.
pub const DIFFERENCES: [Difference; 8] = [
    Difference {
        rules: &["DL3025"],
        shape: "`HEALTHCHECK CMD` with a text",
        is: |text| first_word(text).eq_ignore_ascii_case("HEALTHCHECK"),
    },
    Difference {
        rules: &["DL3064"],
        shape: "`ARG USERNAME`, `…_FILE`, `…_PATH`, `…_DIR`, `TOKENIZER…`, `MAX_…TOKENS`",
        is: |text| {
            let line = text.lines().next().unwrap_or_default().to_ascii_uppercase();
            let words = ["USERNAME", "_FILE", "_PATH", "_DIR", "TOKENIZER", "TOKENS"];
            words.iter().any(|word| line.contains(word))
        },
    },
    Difference {
        rules: &["DL3006", "DL3022", "DL3023", "DL3024", "DL3009", "DL3060"],
        shape: "a stage named in other letters: `FROM a AS Build`, `--from=build`",
        is: |text| {
            let line = text.lines().next().unwrap_or_default();
            line.contains("--from=") || first_word(line).eq_ignore_ascii_case("FROM")
        },
    },
    Difference {
        rules: &["DL3020"],
        shape: "`ADD git@host:repository`",
        is: |text| ["git@", "git://", "ssh://"].iter().any(|start| logical(text).contains(start)),
    },
    Difference {
        rules: &["DL3026"],
        shape: "`COPY --from=0`",
        is: |text| {
            logical(text)
                .split_once("--from=")
                .is_some_and(|(_, rest)| rest.starts_with(|letter: char| letter.is_ascii_digit()))
        },
    },
    Difference {
        rules: &[
            "DL4006", "DL3003", "DL3008", "DL3009", "DL3013", "DL3014", "DL3015", "DL3018", "DL3042", "DL3047",
            "DL3059", "DL4001",
        ],
        shape: "a here-document that a program of the line reads: `RUN bash <<EOF`, `RUN <<EOF bash`",
        is: |text| is_document_with_program(&logical(text)),
    },
    Difference {
        rules: &["DL3059"],
        shape: "several here-documents in one RUN",
        is: |text| logical(text).matches("<<").count() > 1,
    },
    Difference {
        rules: &["DL3043"],
        shape: "`ONBUILD FROM`: also DL1000, as no builder takes it",
        is: |text| first_word(text).eq_ignore_ascii_case("ONBUILD"),
    },
];

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
}

impl Comparison {
    /// Compares rules with hadolint's own numbers; `text` gives a file's text.
    pub fn of(ours: &[Told], theirs: &[Told], text: &dyn Fn(&str) -> String) -> Self {
        let unread = |told: &[Told]| -> BTreeSet<String> {
            told.iter().filter(|(_, _, rule)| rule == "DL1000").map(|(file, ..)| file.clone()).collect()
        };
        let mut comparison = Self { unread: unread(theirs), ..Self::default() };
        let left_out = &comparison.unread | &unread(ours);
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

fn is_different((_, line, rule): &Told, text: &str) -> bool {
    let from: String = text.split_inclusive('\n').skip(line.saturating_sub(1)).collect();
    DIFFERENCES.iter().any(|difference| difference.rules.contains(&rule.as_str()) && (difference.is)(&from))
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

/// A line with those that continue it.
fn logical(text: &str) -> String {
    let mut whole = String::new();
    for line in text.lines() {
        whole.push_str(line);
        whole.push(' ');
        if !line.trim_end().ends_with('\\') && !line.trim_start().starts_with('#') {
            break;
        }
    }
    whole
}

/// `<<NAME` and something beside it that is no option of RUN.
fn is_document_with_program(line: &str) -> bool {
    let words = line.split_whitespace().skip(1).filter(|word| !word.starts_with("--"));
    line.contains("<<") && words.filter(|word| !word.starts_with("<<")).count() > 0
}

/// What hadolint tells of files.
///
/// # Errors
/// When it is not there, or says what is no JSON.
pub fn told(files: &[PathBuf]) -> Result<Vec<Told>, String> {
    let program = Peer::program("hadolint")?;
    let mut all = Vec::new();
    for some in files.chunks(100) {
        let mut command = Command::new(&program);
        // Settings of whoever runs it count for nothing.
        command.current_dir("/").env("HOME", "/nonexistent").env("XDG_CONFIG_HOME", "/nonexistent");
        command.args(["--no-color", "--no-fail", "--format", "json"]).args(some);
        all.extend(findings(&mut command, "code")?);
    }
    Ok(all)
}

/// What the program says of files.
fn told_by_corten(program: &Path, files: &[PathBuf]) -> Result<Vec<Told>, String> {
    let mut all = Vec::new();
    for some in files.chunks(100) {
        let mut command = Command::new(program);
        command.args(["lint", "--format", "json"]).args(some);
        all.extend(findings(&mut command, "rule")?);
    }
    Ok(all)
}

/// A list of JSON, or one within an object, whose elements have `file`, `line` and the rule by a name.
fn findings(command: &mut Command, rule: &str) -> Result<Vec<Told>, String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot start {}: {error}", command.get_program().display()))?;
    let mut value: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{} says what is no JSON: {error}", command.get_program().display()))?;
    let list = if value.is_array() { value.take() } else { value["findings"].take() };
    let one = |finding: &serde_json::Value| {
        let line = usize::try_from(finding["line"].as_u64()?).ok()?;
        Some((finding["file"].as_str()?.to_owned(), line, finding[rule].as_str()?.to_owned()))
    };
    Ok(list.as_array().into_iter().flatten().filter_map(one).collect())
}

/// Prints the table for the corpus.
///
/// # Errors
/// When a repository cannot be had, a file is another than it was, or one of the programs fails.
pub fn measure(words: &[&str]) -> Result<(), String> {
    let mirrors = match words {
        [] => None,
        ["--mirrors", folder] => Some(Path::new(*folder)),
        _ => return Err("usage: cargo xtask hadolint [--mirrors FOLDER]".to_owned()),
    };
    let folder = root().join("target/dockerfiles");
    let files = fetch(mirrors, &folder)?;
    crate::shell::run(crate::shell::cargo().args(["build", "--quiet", "--locked", "-p", "corten"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let ours = told_by_corten(&target.join("debug/corten"), &files)?;
    let theirs = told(&files)?;
    let read =
        |file: &str| fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let comparison = Comparison::of(&ours, &theirs, &read);
    println!(
        "{} files, {} of them unreadable for hadolint\n\n{}",
        files.len(),
        comparison.unread.len(),
        comparison.table()
    );
    for (word, told) in [("hadolint alone", &comparison.missing), ("Corten alone", &comparison.extra)] {
        told.iter().for_each(|(file, line, rule)| println!("{word}: {file}:{line} {rule}"));
    }
    Ok(())
}

/// All files of the corpus in a folder, by their SHA-256.
fn fetch(mirrors: Option<&Path>, folder: &Path) -> Result<Vec<PathBuf>, String> {
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let mut files = Vec::new();
    let mut repository = None;
    for line in CORPUS.lines().filter(|line| !line.starts_with('#')) {
        match line.splitn(3, ' ').collect::<Vec<_>>().as_slice() {
            ["github", name, commit] => repository = Some(Repository::open(name, commit, mirrors, folder)),
            [hash, path @ ..] => {
                let file = folder.join(hash);
                if !file.is_file() {
                    let repository = repository.as_ref().ok_or("the corpus begins without a repository")?;
                    let bytes = repository.as_ref().map_err(Clone::clone)?.file(&path.join(" "))?;
                    let found: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
                    if found != **hash {
                        return Err(format!("{line}: its SHA-256 is {found}"));
                    }
                    fs::write(&file, bytes).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
                }
                files.push(file);
            }
            [] => {}
        }
    }
    Ok(files)
}

/// A repository at a commit.
struct Repository {
    git: PathBuf,
    commit: String,
}

impl Repository {
    fn open(name: &str, commit: &str, mirrors: Option<&Path>, folder: &Path) -> Result<Self, String> {
        let commit = commit.to_owned();
        let single = name.replace('/', "+");
        if let Some(mirrors) = mirrors {
            return Ok(Self { git: mirrors.join(single).join("repo"), commit });
        }
        let git = folder.join(format!("{single}.git"));
        if !git.is_dir() {
            crate::shell::run(Command::new("git").args(["init", "--quiet", "--bare"]).arg(&git))?;
            let address = format!("https://github.com/{name}");
            let arguments = ["fetch", "--quiet", "--depth=1", "--filter=blob:none", &address, &commit];
            crate::shell::run(Command::new("git").arg("-C").arg(&git).args(arguments))?;
        }
        Ok(Self { git, commit })
    }

    fn file(&self, path: &str) -> Result<Vec<u8>, String> {
        let object = format!("{}:{path}", self.commit);
        let output = Command::new("git").arg("-C").arg(&self.git).args(["cat-file", "blob", &object]).output();
        let output = output.map_err(|error| format!("cannot start git: {error}"))?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(format!("{}: {object} is not there", self.git.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_is_large_and_has_no_file_twice() {
        let hashes: Vec<&str> = CORPUS
            .lines()
            .filter(|line| !line.starts_with(['#']) && !line.starts_with("github "))
            .filter_map(|line| line.split(' ').next())
            .collect();
        assert!(hashes.len() >= 500, "{}", hashes.len());
        assert!(hashes.iter().all(|hash| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())));
        assert_eq!(hashes.iter().collect::<BTreeSet<_>>().len(), hashes.len());
    }

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

    #[test]
    fn shapes_are_seen_in_the_text() {
        assert!(is_document_with_program("RUN --mount=type=cache,target=/a <<EOF bash"));
        assert!(
            is_document_with_program("RUN cat <<EOF > /a") && !is_document_with_program("RUN --network=none <<EOF")
        );
        assert_eq!(logical("RUN a \\\n# why\n b\nRUN c\n"), "RUN a \\ # why  b ");
    }
}
