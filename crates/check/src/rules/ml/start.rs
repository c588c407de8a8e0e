//! What a container starts: ENTRYPOINT and CMD together, as words.

use corten_frontend::dockerfile::{Command, Line};

use crate::lint::{Lint, Stage, Step};
use crate::shell::base_name;

/// What starts.
#[derive(Debug)]
pub struct Start<'l> {
    /// The CMD, else the ENTRYPOINT.
    pub step: &'l Step<'l>,
    /// All words, variables as they are written.
    pub words: Vec<String>,
}

/// The steps that an image is made of: those of the stages below, lowest first, then those of the stage itself.
pub fn steps<'l>(lint: &'l Lint<'_>, stage: &'l Stage) -> impl Iterator<Item = &'l Step<'l>> {
    let mut stages: Vec<&Stage> = lint.below(stage).collect();
    stages.reverse();
    stages.into_iter().flat_map(|stage| lint.steps_of(stage)).map(|step| -> &'l Step<'l> { step })
}

/// What a stage's image starts; none where the base decides.
pub fn of<'l>(lint: &'l Lint<'_>, stage: &'l Stage) -> Option<Start<'l>> {
    let (mut entry, mut command) = (None, None);
    for step in steps(lint, stage) {
        match &step.command {
            Some(Command::Entrypoint(line)) => entry = Some((step, line)),
            Some(Command::Cmd(line)) => command = Some((step, line)),
            _ => {}
        }
    }
    let step = command.or(entry).map(|(step, _)| step)?;
    let all = entry.into_iter().chain(command).flat_map(|(step, line)| words(step, line));
    Some(Start { step, words: all.collect() })
}

fn words(step: &Step<'_>, line: &Line) -> Vec<String> {
    match line {
        Line::Exec(words) => match words.as_slice() {
            // A text for a shell: its words are what counts.
            [shell, option, text]
                if base_name(shell).ends_with("sh") && option.starts_with('-') && option.ends_with('c') =>
            {
                text.split_whitespace().map(str::to_owned).collect()
            }
            words => words.to_vec(),
        },
        Line::Shell(_) => {
            let calls = step.script.as_ref().map(|script| script.calls()).unwrap_or_default();
            calls.iter().flat_map(|call| call.words).map(|word| word.shown().into_owned()).collect()
        }
    }
}

/// Programs that answer requests.
const SERVERS: [&str; 17] = [
    "uvicorn",
    "gunicorn",
    "hypercorn",
    "daphne",
    "flask",
    "fastapi",
    "streamlit",
    "vllm",
    "tritonserver",
    "torchserve",
    "bentoml",
    "ray",
    "jupyter",
    "jupyter-lab",
    "nginx",
    "mlflow",
    "tensorflow_model_server",
];

impl Start<'_> {
    /// Is it a server?
    pub fn serves(&self) -> bool {
        let mut programs = self.words.iter().take(4).map(|word| base_name(word));
        programs.any(|program| SERVERS.contains(&program))
    }

    /// The port that it is told to listen on: `--port 8000`, `--bind 0.0.0.0:8000`.
    pub fn port(&self) -> Option<u16> {
        let value = |options: &[&str]| {
            let joined = |word: &String| {
                options.iter().find_map(|option| word.strip_prefix(option)?.strip_prefix('=').map(str::to_owned))
            };
            let next = |two: &[String]| options.contains(&two[0].as_str()).then(|| two[1].clone());
            self.words.iter().find_map(joined).or_else(|| self.words.windows(2).find_map(next))
        };
        let port = value(&["--port", "--server.port", "--http-port"]);
        // `-p` and `-b` mean other things elsewhere.
        let bound = || value(&["--bind", "-b"]).and_then(|address| Some(address.rsplit_once(':')?.1.to_owned()));
        self.serves().then(|| port.or_else(bound)).flatten()?.parse().ok()
    }
}
