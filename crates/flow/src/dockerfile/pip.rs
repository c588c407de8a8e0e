//! Which file of the project a command installs packages from, where it does: what the native path could make layers of.
//!
//! A shell's words are looked at, not understood: what is not one of these plain forms is none.
//!
//! | command | file |
//! |---|---|
//! | `pip install -r FILE`, `python -m pip install -r FILE`, `uv pip install\|sync FILE` | FILE |
//! | `uv sync`, `poetry install`, `pdm install\|sync`, `pipenv install\|sync` | uv.lock, poetry.lock, pdm.lock, Pipfile.lock |

use corten_frontend::python::LockKind;

/// The file's name, without folders above it: images have it elsewhere than the project. Of several the first.
pub fn installs(arguments: &[String]) -> Option<String> {
    all_installed(arguments).first().map(|path| name_of(path).to_owned())
}

/// All of them, as they are written, in the order of the text.
pub fn all_installed(arguments: &[String]) -> Vec<String> {
    let text = match arguments {
        [shell, flag, script, ..] if shell.ends_with("sh") && flag.starts_with('-') && flag.ends_with('c') => {
            script.clone()
        }
        other => other.join(" "),
    };
    let text = text.replace("\\\n", " ");
    let commands = text.split(['\n', ';', '&', '|']);
    commands.flat_map(|command| of_command(&command.split_whitespace().collect::<Vec<_>>())).collect()
}

fn of_command(words: &[&str]) -> Vec<String> {
    let Some(at) = words.iter().position(|word| is_tool(word)) else { return Vec::new() };
    let tool = words.get(at).copied().map(name_of).unwrap_or_default();
    let rest = without_interpreter(words.get(at + 1..).unwrap_or_default());
    let verbs: Vec<&str> = rest.iter().copied().filter(|word| !word.starts_with('-')).take(2).collect();
    match (tool, verbs.as_slice()) {
        ("uv", ["pip", "install" | "sync"]) => match requirements(&rest) {
            none if none.is_empty() => last_file(&rest).into_iter().collect(),
            all => all,
        },
        ("uv", ["sync", ..]) => vec!["uv.lock".to_owned()],
        ("poetry", ["install" | "sync", ..]) => vec!["poetry.lock".to_owned()],
        ("pdm", ["install" | "sync", ..]) => vec!["pdm.lock".to_owned()],
        ("pipenv", ["install" | "sync", ..]) => vec!["Pipfile.lock".to_owned()],
        (_, ["install", ..]) if tool.starts_with("pip") => requirements(&rest),
        _ => Vec::new(),
    }
}

/// `pip --python PATH install` installs for another Python.
fn without_interpreter<'w>(words: &[&'w str]) -> Vec<&'w str> {
    match words {
        ["--python", _, rest @ ..] => rest.to_vec(),
        all => all.to_vec(),
    }
}

fn is_tool(word: &str) -> bool {
    let name = name_of(word);
    let is_pip =
        name.strip_prefix("pip").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    is_pip || matches!(name, "uv" | "poetry" | "pdm" | "pipenv")
}

fn name_of(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// What stands behind each `-r`.
fn requirements(words: &[&str]) -> Vec<String> {
    let mut files = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let file = match word.strip_prefix("-r").or_else(|| word.strip_prefix("--requirement")) {
            Some("") => words.next().copied(),
            Some(rest) => Some(rest.trim_start_matches('=')),
            None => None,
        };
        files.extend(file.map(|file| file.trim_matches(['"', '\'']).to_owned()));
    }
    files
}

/// `uv pip sync requirements.txt`
fn last_file(words: &[&str]) -> Option<String> {
    let file = words.last()?;
    LockKind::named(std::path::Path::new(file)).map(|_| (*file).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Option<String> {
        installs(&["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()])
    }

    #[test]
    fn plain_forms_are_known_and_nothing_is_guessed() {
        for (script, file) in [
            ("pip install -r requirements.txt", "requirements.txt"),
            ("pip3.11 install --no-cache-dir -r /tmp/requirements.txt", "requirements.txt"),
            ("python -m pip install --upgrade pip && pip install --requirement=api/reqs.txt", "reqs.txt"),
            ("set -eux; \\\n  /opt/venv/bin/pip install \\\n  -rrequirements.txt", "requirements.txt"),
            ("UV_X=1 uv sync --locked --no-dev", "uv.lock"),
            ("uv pip sync --system requirements.txt", "requirements.txt"),
            ("poetry install --no-root", "poetry.lock"),
            ("pipenv sync", "Pipfile.lock"),
        ] {
            assert_eq!(shell(script).as_deref(), Some(file), "{script}");
        }
        for script in [
            "pip install numpy",
            "pip download -r x.txt",
            "apt-get install -y pip -r x",
            "echo pip",
            "uv run x",
            "pipx install x -r y",
            "",
        ] {
            assert_eq!(shell(script), None, "{script}");
        }
        let exec: Vec<String> = ["pip", "install", "-r", "r.txt"].map(str::to_owned).to_vec();
        assert_eq!(installs(&exec).as_deref(), Some("r.txt"));
        assert_eq!(installs(&[]), None);
        let several = "pip install -r a.txt -rdeps/b.txt && uv sync".split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(all_installed(&several), ["a.txt", "deps/b.txt", "uv.lock"]);
    }
}
