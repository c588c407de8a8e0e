//! The Dockerfiles that `corpus.txt` names, got from their repositories: each is what it was when the list was made, by its
//! SHA-256, and is kept under that name.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::shell::{output, run};

/// `github OWNER/NAME COMMIT`, then `SHA-256 PATH` for each file.
const CORPUS: &str = include_str!("corpus.txt");

/// What could be had.
#[derive(Debug, Default)]
pub struct Corpus {
    /// Where they lie.
    pub files: Vec<PathBuf>,
    /// What of the list is missing, and why: repositories go, and machines are offline.
    pub missing: Vec<String>,
}

/// Gets all files into a folder, from repositories as git clones of them lie in `mirrors`, or from GitHub.
///
/// # Errors
/// When the folder cannot be written, or a file is another than it was.
pub fn fetch(mirrors: Option<&Path>, folder: &Path) -> Result<Corpus, String> {
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let mut corpus = Corpus::default();
    for listed in listed() {
        let absent = listed.files.iter().filter(|(hash, _)| !folder.join(hash).is_file());
        let absent: Vec<(&str, &str)> = absent.copied().collect();
        if !absent.is_empty()
            && let Err(why) = listed.get(&absent, mirrors, folder)?
        {
            corpus.missing.push(format!("{} files of {}: {why}", absent.len(), listed.name));
        }
        let files = listed.files.iter().map(|(hash, _)| folder.join(hash));
        corpus.files.extend(files.filter(|file| file.is_file()));
    }
    Ok(corpus)
}

/// The list, repository by repository.
fn listed() -> Vec<Listed> {
    let mut all: Vec<Listed> = Vec::new();
    for line in CORPUS.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, commit)) = line.strip_prefix("github ").and_then(|rest| rest.split_once(' ')) {
            all.push(Listed { name, commit, files: Vec::new() });
        } else if let (Some(last), Some(file)) = (all.last_mut(), line.split_once(' ')) {
            last.files.push(file);
        }
    }
    all
}

/// A repository at a commit.
struct Listed {
    name: &'static str,
    commit: &'static str,
    /// SHA-256, path.
    files: Vec<(&'static str, &'static str)>,
}

impl Listed {
    /// Writes some of its files; the inner error is why the repository is not to be had.
    fn get(&self, files: &[(&str, &str)], mirrors: Option<&Path>, folder: &Path) -> Result<Result<(), String>, String> {
        let git = match self.open(mirrors, folder) {
            Ok(git) => git,
            Err(why) => return Ok(Err(why)),
        };
        for (hash, path) in files {
            let bytes = match blob(&git, &format!("{}:{path}", self.commit)) {
                Ok(bytes) => bytes,
                Err(why) => return Ok(Err(why)),
            };
            let found: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            if found != **hash {
                return Err(format!("{} of {} has the SHA-256 {found}, listed is {hash}", path, self.name));
            }
            let file = folder.join(hash);
            fs::write(&file, bytes).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        }
        Ok(Ok(()))
    }

    /// A repository that has the commit with its listed files.
    fn open(&self, mirrors: Option<&Path>, folder: &Path) -> Result<PathBuf, String> {
        let single = self.name.replace('/', "+");
        if let Some(mirrors) = mirrors {
            return Ok(mirrors.join(single).join("repo"));
        }
        let git = folder.with_extension("git").join(single);
        if output(git_in(&git).args(["cat-file", "-e", self.commit]).stderr(Stdio::null())).is_err() {
            // What an earlier run left half done.
            let _ = fs::remove_dir_all(&git);
            let address = format!("https://github.com/{}", self.name);
            run(Command::new("git").args(["init", "--quiet", "--bare"]).arg(&git))?;
            run(git_in(&git).args(["remote", "add", "origin", &address]))?;
            let shallow = ["fetch", "--quiet", "--no-tags", "--depth=1", "--filter=blob:none", "origin", self.commit];
            run(git_in(&git).args(shallow))?;
        }
        self.blobs(&git)?;
        Ok(git)
    }

    /// Gets the files' contents in one go: git alone would ask for one after the other.
    fn blobs(&self, git: &Path) -> Result<(), String> {
        let tree = output(git_in(git).args(["ls-tree", "-r", "-z", self.commit]))?;
        let entries = tree.split('\0').filter_map(|entry| entry.split_once('\t'));
        let wanted = entries.filter(|(_, path)| self.files.iter().any(|(_, file)| file == path));
        let ids: String = wanted.filter_map(|(about, _)| Some(format!("{}\n", about.split(' ').nth(2)?))).collect();
        let mut fetch = git_in(git);
        fetch.args([
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--filter=blob:none",
            "--stdin",
            "origin",
        ]);
        let failed = |error: std::io::Error| format!("cannot start git: {error}");
        let mut child = fetch.stdin(Stdio::piped()).spawn().map_err(failed)?;
        let stdin = child.stdin.take();
        let written = stdin.map_or(Ok(()), |mut stdin| stdin.write_all(ids.as_bytes()));
        let status = child.wait().map_err(failed)?;
        written.map_err(|error| format!("git takes no names: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("git fetch of files failed: {status}")) }
    }
}

fn git_in(folder: &Path) -> Command {
    let mut git = Command::new("git");
    // Nobody is there to be asked for a password, as of a repository that is gone.
    git.arg("-C").arg(folder).env("GIT_TERMINAL_PROMPT", "0");
    git
}

fn blob(git: &Path, object: &str) -> Result<Vec<u8>, String> {
    let output = git_in(git).args(["cat-file", "blob", object]).stderr(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot start git: {error}"))?;
    if output.status.success() { Ok(output.stdout) } else { Err(format!("{object} is not in {}", git.display())) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_corpus_is_large_and_has_no_file_twice() {
        let all = listed();
        let hashes: Vec<&str> = all.iter().flat_map(|one| one.files.iter().map(|(hash, _)| *hash)).collect();
        assert!(hashes.len() >= 500, "{}", hashes.len());
        assert!(hashes.iter().all(|hash| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())));
        assert_eq!(hashes.iter().collect::<BTreeSet<_>>().len(), hashes.len());
        assert!(all.iter().all(|one| one.commit.len() == 40 && one.name.contains('/')));
        let lines = CORPUS.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(lines, all.len() + hashes.len(), "a line that is neither");
    }
}
