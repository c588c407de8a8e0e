//! What the commands of a RUN are for, as far as plain words tell it. What is not understood is told, never guessed.

use crate::dockerfile::installs;

/// One command of a RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Did {
    /// `apt-get install`: names as written.
    Packages(Vec<String>),
    /// Installed, or made wheels of, what a file of the project names.
    Lock(String),
    /// Installed these by name.
    Python(Vec<String>),
    /// Made a user.
    User(String),
    /// Nothing that an image from a lock needs: cleaning up, upgrading installers, making the folder that is there anyway.
    Nothing,
    /// Something else.
    Other(String),
}

/// Installers, and what only they need.
const INSTALLERS: [&str; 9] =
    ["pip", "setuptools", "wheel", "uv", "poetry", "pdm", "pipenv", "pip-tools", "virtualenv"];

/// The commands of a RUN, in their order. `workdir` is the folder that the image has anyway.
pub fn commands(arguments: &[String], workdir: &str) -> Vec<Did> {
    let text = match arguments {
        [shell, flag, script, ..] if shell.ends_with("sh") && flag.starts_with('-') && flag.ends_with('c') => {
            script.clone()
        }
        other => other.join(" "),
    };
    let text = text.replace("\\\n", " ");
    let all = split(&text).into_iter().map(|command| command.trim().to_owned());
    all.filter(|command| !command.is_empty() && !command.starts_with('#'))
        .map(|command| one(&command, workdir))
        .collect()
}

/// At `&&`, `;` and ends of lines, but not within quotes.
fn split(text: &str) -> Vec<String> {
    let (mut all, mut now, mut quote) = (Vec::new(), String::new(), None);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\'' | '"', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            (';' | '\n', None) => {
                all.push(std::mem::take(&mut now));
                continue;
            }
            ('&', None) if letters.peek() == Some(&'&') => {
                letters.next();
                all.push(std::mem::take(&mut now));
                continue;
            }
            _ => {}
        }
        now.push(letter);
    }
    all.push(now);
    all
}

fn one(command: &str, workdir: &str) -> Did {
    let other = || Did::Other(command.split_whitespace().collect::<Vec<_>>().join(" "));
    // What a shell would make of these is not known.
    if command.contains(['|', '$', '`', '<', '>', '(']) {
        return other();
    }
    let words: Vec<&str> = command.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
    let words = if words.first() == Some(&"sudo") { words.get(1..).unwrap_or_default() } else { &words };
    let words: &[&str] = match words {
        [python, "-m", rest @ ..] if program(python).starts_with("python") => rest,
        words => words,
    };
    let Some((first, rest)) = words.split_first() else { return Did::Nothing };
    let plain: Vec<&str> = rest.iter().copied().filter(|word| !word.starts_with('-')).collect();
    match program(first) {
        "apt-get" | "apt" => apt(rest).unwrap_or_else(other),
        "set" | "true" | "ldconfig" => Did::Nothing,
        "rm" if plain.iter().all(|path| is_passing(path)) => Did::Nothing,
        "mkdir" | "chown" | "chmod" if plain.last().is_some_and(|path| path.trim_end_matches('/') == workdir) => {
            Did::Nothing
        }
        "useradd" | "adduser" => plain.last().map_or_else(other, |name| Did::User((*name).to_owned())),
        "groupadd" | "addgroup" | "venv" | "virtualenv" => Did::Nothing,
        name if name.starts_with("pip") || ["uv", "poetry", "pdm", "pipenv"].contains(&name) => {
            python(words, &plain).unwrap_or_else(other)
        }
        _ => other(),
    }
}

fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// Caches, lists of packages, wheels that were installed.
fn is_passing(path: &str) -> bool {
    ["/var/lib/apt/lists", "/var/cache", "/root/.cache", "/tmp", "/wheels", "/var/tmp", "/var/log"]
        .iter()
        .any(|folder| path.starts_with(folder))
        || path.ends_with(".whl")
}

fn apt(words: &[&str]) -> Option<Did> {
    let mut verb = None;
    let mut packages = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "-t" | "-o" | "-c" | "--target-release" | "--option" => drop(words.next()),
            flag if flag.starts_with('-') => {}
            word if verb.is_none() => verb = Some(word),
            name => packages.push(name.to_owned()),
        }
    }
    match verb? {
        "install" => Some(Did::Packages(packages)),
        "update" | "clean" | "autoclean" | "autoremove" | "purge" | "remove" | "upgrade" | "dist-upgrade" => {
            Some(Did::Nothing)
        }
        _ => None,
    }
}

fn python(words: &[&str], plain: &[&str]) -> Option<Did> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    if let Some(file) = installs(&words) {
        return Some(Did::Lock(file));
    }
    let names = match plain {
        ["wheel", ..] => {
            // As `install`, into a folder.
            let install: Vec<String> =
                words.iter().map(|word| if word == "wheel" { "install".into() } else { word.clone() }).collect();
            return installs(&install).map(Did::Lock);
        }
        ["install", names @ ..] | ["pip", "install", names @ ..] => names,
        ["cache", ..] | ["config", ..] | ["venv", ..] | ["check"] => return Some(Did::Nothing),
        _ => return None,
    };
    let named = |name: &&&str| {
        let bare = name.split(['=', '<', '>', '~', '!', '[']).next().unwrap_or_default();
        !INSTALLERS.contains(&bare) && !is_project(name)
    };
    let names: Vec<String> = names.iter().filter(named).map(|name| (*name).to_owned()).collect();
    Some(if names.is_empty() { Did::Nothing } else { Did::Python(names) })
}

/// `.`, `.[cpu]`, wheels that were made before: what the lock has.
fn is_project(name: &str) -> bool {
    name == "."
        || name.starts_with(".[")
        || name.starts_with("./")
        || name.starts_with("/wheels")
        || name.ends_with(".whl")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Vec<Did> {
        commands(&["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()], "/app")
    }

    fn texts(all: &[&str]) -> Vec<String> {
        all.iter().map(|one| (*one).to_owned()).collect()
    }

    #[test]
    fn commands_are_understood_or_told() {
        let all = shell(
            "apt-get update && apt-get install -y --no-install-recommends -t bookworm libpq-dev \\\n gcc=4:12 && rm -rf /var/lib/apt/lists/*",
        );
        assert_eq!(all, [Did::Nothing, Did::Packages(texts(&["libpq-dev", "gcc=4:12"])), Did::Nothing]);
        assert_eq!(
            shell("pip wheel --no-cache-dir --wheel-dir /wheels -r requirements.txt"),
            [Did::Lock("requirements.txt".into())]
        );
        assert_eq!(shell("pip install --no-cache-dir /wheels/* && rm -rf /wheels"), [Did::Nothing, Did::Nothing]);
        assert_eq!(
            shell("python3 -m pip install -U pip wheel; pip install 'torch==2.4' uvicorn[standard]"),
            [Did::Nothing, Did::Python(texts(&["torch==2.4", "uvicorn[standard]"]))]
        );
        assert_eq!(shell("uv sync --locked"), [Did::Lock("uv.lock".into())]);
        assert_eq!(
            shell("useradd -m -u 10001 appuser && mkdir -p /app && chown -R appuser /app"),
            [Did::User("appuser".into()), Did::Nothing, Did::Nothing]
        );
        for told in [
            "curl -sSL https://x | sh",
            "echo 'a && b; c'",
            "apt-get install -y $PACKAGES",
            "npm ci",
            "rm -rf /opt/models",
            "mkdir /data",
            "apt-get source x",
        ] {
            assert_eq!(shell(told), [Did::Other(told.to_owned())], "{told}");
        }
    }
}
