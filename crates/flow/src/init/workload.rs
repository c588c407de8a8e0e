//! What a project is for, and what its image stands on because of that.
//!
//! | asked | by |
//! |---|---|
//! | does it listen? | the entry point |
//! | does it use a GPU? | packages that are nothing without one; of a lock the CUDA libraries themselves, as torch's CPU wheels have none |
//! | does it hold a model? | packages that load one |
//! | does it train? | what the started file does |
//!
//! The table of docs/init.md is [`table`].

use corten_frontend::entry::{Certainty, Entry, Kind};

/// What a project is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// A service without a model.
    Api,
    /// A service or job that asks a model, on processors.
    CpuInference,
    /// The same on a GPU.
    GpuInference,
    /// Learns on a GPU.
    GpuTraining,
    /// A job that ends.
    Batch,
    /// A program that people start.
    Cli,
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Which.
    pub workload: Workload,
    /// As it is told.
    pub name: &'static str,
    /// What it is known by.
    pub seen: &'static str,
    /// Of a native image.
    pub base: &'static str,
    /// Of a Dockerfile.
    pub from: &'static str,
    /// Why these.
    pub why: &'static str,
}

const NATIVE: &str = "Debian with the lock's Python, distroless";
const SLIM: &str = "`python:3.X-slim`";

/// The workloads and their bases.
pub const WORKLOADS: [Row; 6] = [
    Row {
        workload: Workload::Api,
        name: "API",
        seen: "it listens, and no package loads a model",
        base: NATIVE,
        from: SLIM,
        why: "Wheels are made for the GNU C library, which alpine has not: torch, TensorFlow and onnxruntime have no wheels for its own.",
    },
    Row {
        workload: Workload::CpuInference,
        name: "CPU inference",
        seen: "it listens, and a package loads a model; nothing needs a GPU",
        base: NATIVE,
        from: SLIM,
        why: "Wheels are made for the GNU C library, which alpine has not. torch from PyPI brings CUDA: where no GPU is meant, its CPU index saves gigabytes.",
    },
    Row {
        workload: Workload::GpuInference,
        name: "GPU inference",
        seen: "packages that need a GPU, and it listens or only asks a model",
        base: NATIVE,
        from: SLIM,
        why: "The wheels bring CUDA and cuDNN. A base of nvidia/cuda would hold both a second time, and its NVIDIA_REQUIRE_CUDA refuses drivers that the wheels run with.",
    },
    Row {
        workload: Workload::GpuTraining,
        name: "GPU training",
        seen: "packages that need a GPU, and the started file learns",
        base: "Debian with the lock's Python; slim where torch.compile wants a compiler",
        from: SLIM,
        why: "The wheels bring CUDA and cuDNN; a base of nvidia/cuda would hold both twice. A `devel` image is for compiling CUDA code, which wheels have behind them.",
    },
    Row {
        workload: Workload::Batch,
        name: "batch job",
        seen: "a script that ends",
        base: NATIVE,
        from: SLIM,
        why: "Wheels are made for the GNU C library, which alpine has not. No port and no health check: whoever started it sees how it ended.",
    },
    Row {
        workload: Workload::Cli,
        name: "command line program",
        seen: "a console script of the project, and no model",
        base: NATIVE,
        from: SLIM,
        why: "Wheels are made for the GNU C library. Alpine is smaller, and every package without a wheel for musl is then compiled.",
    },
];

impl Workload {
    /// Its row.
    pub fn row(self) -> &'static Row {
        WORKLOADS.iter().find(|row| row.workload == self).unwrap_or(&WORKLOADS[0])
    }

    /// Has it a use for a GPU?
    pub fn uses_gpu(self) -> bool {
        matches!(self, Self::GpuInference | Self::GpuTraining)
    }
}

/// The table as Markdown, for docs/init.md.
pub fn table() -> String {
    let mut text = String::from("| workload | seen by | base | FROM of a Dockerfile | why |\n|---|---|---|---|---|\n");
    for row in WORKLOADS {
        text.push_str(&format!("| {} | {} | {} | {} | {} |\n", row.name, row.seen, row.base, row.from, row.why));
    }
    text
}

/// What was taken for it, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guess {
    pub workload: Workload,
    pub certainty: Certainty,
    pub because: String,
}

/// Packages that are nothing without a GPU, or that a lock has only for one.
const NEED_GPU: [&str; 20] = [
    "onnxruntime-gpu",
    "vllm",
    "sglang",
    "flash-attn",
    "deepspeed",
    "bitsandbytes",
    "xformers",
    "tensorrt",
    "tensorrt-llm",
    "tensorrt-cu12",
    "tensorrt-cu13",
    "faiss-gpu-cu12",
    "faiss-gpu",
    "cupy-cuda12x",
    "cupy-cuda13x",
    "cupy-cuda11x",
    "jax-cuda12-plugin",
    "jax-cuda13-plugin",
    "cudf-cu12",
    "cuml-cu12",
];
/// Packages that load models.
const LOAD_MODELS: [&str; 26] = [
    "torch",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "jax",
    "transformers",
    "sentence-transformers",
    "diffusers",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "tflite-runtime",
    "ai-edge-litert",
    "xgboost",
    "lightgbm",
    "catboost",
    "scikit-learn",
    "ultralytics",
    "spacy",
    "vllm",
    "llama-cpp-python",
    "ctranslate2",
    "faster-whisper",
    "fasttext",
    "timm",
    "safetensors",
];
/// What a file that learns says.
const LEARNS: [&str; 8] =
    [".backward(", "optimizer.step(", "Trainer(", "SFTTrainer", ".fit(", "GradientTape(", "value_and_grad(", "optax."];

/// What is known of a project.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Normalised names of what is installed, or of what is asked for where there is no lock.
    pub installed: &'a [String],
    /// Are they those of a lock?
    pub locked: bool,
    /// How it starts, where that is known.
    pub start: Option<&'a Entry>,
    /// Paths and texts of its Python files.
    pub sources: &'a [(String, String)],
}

impl Facts<'_> {
    fn has(&self, names: &[&str]) -> Option<&str> {
        self.installed.iter().map(String::as_str).find(|name| names.contains(name))
    }

    /// The package because of which a GPU is meant. Without a lock, torch alone means one: PyPI's brings CUDA.
    fn gpu(&self) -> Option<(&str, Certainty)> {
        let cuda = |name: &&str| name.starts_with("nvidia-cu") || name.starts_with("nvidia-cublas");
        let library = self.installed.iter().map(String::as_str).find(cuda);
        let needs = self.has(&NEED_GPU).map(|name| (name, Certainty::High));
        let wish = self.has(&["torch"]).filter(|_| !self.locked).map(|name| (name, Certainty::Low));
        needs.or(library.map(|name| (name, Certainty::High))).or(wish)
    }

    /// The text of the file that is started.
    fn started(&self) -> Option<(&str, &str)> {
        let words = &self.start?.command;
        let file = words.iter().find(|word| word.ends_with(".py"));
        let module = words.windows(2).find(|pair| pair.first().is_some_and(|word| word == "-m"));
        let module = module.and_then(|pair| pair.get(1)).map(|name| name.replace('.', "/"));
        let is_it = |path: &str| {
            file.is_some_and(|file| path == file)
                || module.as_ref().is_some_and(|module| {
                    path == format!("{module}.py") || path.ends_with(&format!("{module}/__main__.py"))
                })
        };
        self.sources.iter().find(|(path, _)| is_it(path)).map(|(path, text)| (path.as_str(), text.as_str()))
    }

    fn learns(&self) -> Option<String> {
        let (path, text) = self.started()?;
        let word = LEARNS.iter().find(|word| text.contains(**word));
        word.map(|word| format!("{path} has {}", word.trim_end_matches('(')))
    }
}

/// Says what a project is for.
pub fn guess(facts: &Facts<'_>) -> Guess {
    let listens = facts.start.is_some_and(|start| start.web);
    let sure = facts.start.map_or(Certainty::Low, |start| start.certainty);
    let model = facts.has(&LOAD_MODELS);
    let guess = |workload, certainty: Certainty, because: String| Guess { workload, certainty, because };
    match (facts.gpu(), listens) {
        (Some((package, certain)), true) => {
            guess(Workload::GpuInference, sure.min(certain), format!("it listens, and {package} is for GPUs"))
        }
        (Some((package, certain)), false) => match facts.learns() {
            Some(why) => guess(Workload::GpuTraining, certain, format!("{why}, and {package} is for GPUs")),
            None => guess(
                Workload::GpuInference,
                certain.min(Certainty::Medium),
                format!("{package} is for GPUs, and nothing is seen that learns"),
            ),
        },
        (None, true) => match model {
            Some(package) => guess(Workload::CpuInference, sure, format!("it listens, and {package} loads models")),
            None => guess(Workload::Api, sure, "it listens".to_owned()),
        },
        (None, false) => job(facts, model, sure),
    }
}

fn job(facts: &Facts<'_>, model: Option<&str>, sure: Certainty) -> Guess {
    let is_console = facts.start.is_some_and(|start| start.kind == Kind::ConsoleScript);
    let (workload, because) = match (facts.learns(), is_console, facts.start) {
        (Some(why), ..) => (Workload::Batch, format!("{why}, and no package is for GPUs")),
        (None, true, _) if model.is_none() => (Workload::Cli, "a console script starts it".to_owned()),
        (None, _, Some(_)) => (Workload::Batch, "it does not listen".to_owned()),
        (None, _, None) => (Workload::Batch, "nothing is seen that listens".to_owned()),
    };
    Guess { workload, certainty: sure, because }
}

#[cfg(test)]
mod tests {
    use corten_frontend::entry;
    use corten_frontend::settings::{Settings, Text, Texts};

    use super::*;

    fn guessed(installed: &[&str], locked: bool, sources: &[(&str, &str)], pyproject: &str) -> (Workload, Certainty) {
        let pyproject = (!pyproject.is_empty()).then(|| Text::new("pyproject.toml", pyproject));
        let settings = Settings::read(&Texts { pyproject, folder: "x".into(), ..Texts::default() }).unwrap();
        let installed: Vec<String> = installed.iter().map(|name| (*name).to_owned()).collect();
        let own = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
        let sources: Vec<(String, String)> = sources.iter().map(own).collect();
        let start = entry::find(&entry::Facts { sources: &sources, settings: &settings, installed: &installed }).ok();
        let facts = Facts { installed: &installed, locked, start: start.as_ref(), sources: &sources };
        let guess = guess(&facts);
        (guess.workload, guess.certainty)
    }

    const WEB: (&str, &str) = ("main.py", "from fastapi import FastAPI\napp = FastAPI()\n");
    const TRAIN: (&str, &str) = ("main.py", "import torch\nif __name__ == '__main__':\n    loss.backward()\n");
    const JOB: (&str, &str) = ("main.py", "if __name__ == '__main__':\n    print(1)\n");

    #[test]
    fn each_workload_is_known_by_what_stands_in_the_table() {
        let web = ["fastapi", "uvicorn"];
        let with = |more: &[&'static str]| [&web[..], more].concat();
        assert_eq!(guessed(&web, true, &[WEB], ""), (Workload::Api, Certainty::High));
        assert_eq!(guessed(&with(&["onnxruntime"]), true, &[WEB], "").0, Workload::CpuInference);
        // The CPU wheels of torch bring no library of NVIDIA's: a lock tells.
        assert_eq!(guessed(&with(&["torch"]), true, &[WEB], "").0, Workload::CpuInference);
        assert_eq!(guessed(&with(&["torch"]), false, &[WEB], ""), (Workload::GpuInference, Certainty::Low));
        assert_eq!(guessed(&with(&["torch", "nvidia-cublas-cu12"]), true, &[WEB], "").0, Workload::GpuInference);
        assert_eq!(guessed(&["torch", "nvidia-cudnn-cu13"], true, &[TRAIN], "").0, Workload::GpuTraining);
        assert_eq!(guessed(&["vllm"], true, &[JOB], ""), (Workload::GpuInference, Certainty::Medium));
        assert_eq!(guessed(&["torch"], true, &[TRAIN], "").0, Workload::Batch);
        assert_eq!(guessed(&[], true, &[JOB], "").0, Workload::Batch);
        let console = "[project]\nname = 'x'\nversion = '1'\n[project.scripts]\nx = 'main:run'\n[build-system]\nrequires = ['hatchling']\nbuild-backend = 'hatchling.build'\n";
        assert_eq!(guessed(&[], true, &[("main.py", "def run(): pass\n")], console).0, Workload::Cli);
    }

    #[test]
    fn every_workload_has_a_row_and_the_page_has_the_table() {
        for row in WORKLOADS {
            assert_eq!(row.workload.row().name, row.name);
        }
        let page = include_str!("../../../../docs/init.md");
        assert!(page.contains(&table()), "docs/init.md has another table than:\n{}", table());
    }
}
