//! The images that stages stand on: what their names say.

use corten_oci::Reference;

use crate::lint::{Base, Lint, Stage, Step};

/// An image that FROM names.
#[derive(Debug, Clone)]
pub struct Image<'l> {
    /// The stage whose FROM names it.
    pub stage: &'l Stage,
    /// As it is written, variables replaced.
    pub name: String,
    /// `python`, `nvidia/cuda`, `nvcr.io/nvidia/pytorch`: without what Docker leaves out, mirrors of Docker's own images without
    /// the mirror.
    pub repository: String,
    /// Without it `latest` is meant.
    pub tag: Option<String>,
    /// Pinned by content.
    pub has_digest: bool,
}

/// Where Docker's official images lie, too.
const MIRRORS: [&str; 6] = [
    "docker.io/library/",
    "docker.io/",
    "public.ecr.aws/docker/library/",
    "mirror.gcr.io/library/",
    "index.docker.io/library/",
    "registry.hub.docker.com/library/",
];

/// The image of a stage's own FROM; none for a stage, `scratch`, and what cannot be known.
pub fn own<'l>(stage: &'l Stage) -> Option<Image<'l>> {
    if stage.base != Base::Image {
        return None;
    }
    let name = stage.expanded.clone()?;
    let reference: Reference = name.parse().ok()?;
    let whole = reference.repository.to_string();
    let short = MIRRORS.iter().find_map(|mirror| whole.strip_prefix(mirror)).unwrap_or(&whole);
    Some(Image {
        stage,
        repository: short.to_owned(),
        tag: reference.tag.map(|tag| tag.to_string()),
        has_digest: reference.digest.is_some(),
        name,
    })
}

/// The image that a stage stands on in the end.
pub fn root<'l>(lint: &'l Lint<'_>, stage: &'l Stage) -> Option<Image<'l>> {
    own(lint.root_of(stage))
}

/// The image that a step stands on.
pub fn under<'l>(lint: &'l Lint<'_>, step: &Step<'_>) -> Option<Image<'l>> {
    root(lint, lint.stages.get(step.stage?)?)
}

/// All images that FROM names.
pub fn all<'l>(lint: &'l Lint<'_>) -> impl Iterator<Item = Image<'l>> {
    lint.stages.iter().filter_map(own)
}

impl Image<'_> {
    fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or_default()
    }

    /// The parts of its tag between `-`, `_` and `.`-free: `12.2.0`, `devel`, `ubuntu22.04`.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.tag().split(['-', '_'])
    }

    /// The last part of its name.
    pub fn base_name(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or_default()
    }

    /// Does it bring CUDA's libraries of NVIDIA's packages along? The version, where its tag says it.
    pub fn cuda(&self) -> Option<Option<String>> {
        let is_cuda = self.repository.ends_with("nvidia/cuda") || self.repository == "cuda";
        if is_cuda {
            return Some(self.words().find_map(version));
        }
        let is_framework = self.brings_framework().is_some();
        // pytorch/pytorch:2.4.1-cuda12.4-cudnn9-runtime
        let named = self.words().find_map(|word| version(word.strip_prefix("cuda").or(word.strip_prefix("cu"))?));
        (is_framework || named.is_some()).then_some(named).filter(|found| found.is_some() || self.is_for_gpu())
    }

    /// Is it made for GPUs?
    pub fn is_for_gpu(&self) -> bool {
        let text = format!("{}:{}", self.repository, self.tag()).to_lowercase();
        ["cuda", "nvidia", "nvcr.io", "rocm", "-gpu", "gpu-"].iter().any(|word| text.contains(word))
    }

    /// The framework that it has installed: `torch`, `tensorflow`.
    pub fn brings_framework(&self) -> Option<&'static str> {
        match self.repository.as_str() {
            "pytorch/pytorch" | "nvcr.io/nvidia/pytorch" | "rocm/pytorch" => Some("torch"),
            "tensorflow/tensorflow" | "nvcr.io/nvidia/tensorflow" | "rocm/tensorflow" => Some("tensorflow"),
            "nvcr.io/nvidia/jax" => Some("jax"),
            "vllm/vllm-openai" => Some("vllm"),
            _ => None,
        }
    }

    /// Does it use musl?
    pub fn is_musl(&self) -> bool {
        let is_alpine = |word: &str| word.starts_with("alpine") || word == "musl";
        self.base_name() == "alpine" || self.words().any(is_alpine)
    }

    /// The version of Python that its name says: `3.11`.
    pub fn python(&self) -> Option<String> {
        let own = || {
            let is_python = self.base_name() == "python" || self.base_name() == "pypy";
            is_python.then(|| self.words().next().and_then(minor)).flatten()
        };
        let named = || self.words().find_map(|word| minor(word.strip_prefix("python").or(word.strip_prefix("py"))?));
        named().or_else(own)
    }
}

/// `12.2.0` of `12.2.0`, `12.2` of `12.2`.
fn version(word: &str) -> Option<String> {
    let is_version = word.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    is_version.then(|| word.to_owned())
}

/// `3.11` of `3.11` and of `3.11.4`, of `3.13rc1`; none of `3`.
pub fn minor(text: &str) -> Option<String> {
    let (major, rest) = text.split_once('.')?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    let minor = rest.get(..end)?;
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(major) && is_number(minor)).then(|| format!("{major}.{minor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image<T>(name: &str, ask: impl Fn(&Image<'_>) -> T) -> T {
        crate::rules::ml::tests::linted(&format!("FROM {name}\n"), |lint| {
            ask(&own(&lint.stages[0]).unwrap_or_else(|| panic!("{name}")))
        })
    }

    #[test]
    fn names_of_images_are_read_whole() {
        for (name, repository) in [
            ("python:3.11", "python"),
            ("docker.io/library/python", "python"),
            ("public.ecr.aws/docker/library/python:3.11", "python"),
            ("docker.io/nvidia/cuda:12.2.0-devel-ubuntu22.04", "nvidia/cuda"),
            ("localhost:5000/python", "localhost:5000/python"),
            ("nvcr.io/nvidia/pytorch:24.05-py3", "nvcr.io/nvidia/pytorch"),
        ] {
            assert_eq!(image(name, |image| image.repository.clone()), repository);
        }
    }

    /// `3.1` is not `3.10`, and a registry's port is no tag.
    #[test]
    fn versions_of_python_and_cuda_come_from_tags() {
        for (name, python) in [
            ("python:3.9-slim", Some("3.9")),
            ("python:3.10.4", Some("3.10")),
            ("python:3", None),
            ("python", None),
            ("python:slim", None),
            ("localhost:5000/python:3.8", Some("3.8")),
            ("tiangolo/uvicorn-gunicorn-fastapi:python3.8", Some("3.8")),
            ("ghcr.io/astral-sh/uv:python3.12-bookworm", Some("3.12")),
            ("nvcr.io/nvidia/pytorch:24.05-py3", None),
            ("node:18.2", None),
        ] {
            assert_eq!(image(name, |image| image.python()).as_deref(), python, "{name}");
        }
        for (name, cuda) in [
            ("nvidia/cuda:12.2.0-devel-ubuntu22.04", Some(Some("12.2.0"))),
            ("nvidia/cuda:latest", Some(None)),
            ("pytorch/pytorch:2.4.1-cuda12.4-cudnn9-runtime", Some(Some("12.4"))),
            ("nvcr.io/nvidia/pytorch:24.05-py3", Some(None)),
            ("tensorflow/tensorflow:2.15.0-gpu", Some(None)),
            ("tensorflow/tensorflow:2.15.0", None),
            ("python:3.11", None),
        ] {
            assert_eq!(image(name, |image| image.cuda()), cuda.map(|cuda| cuda.map(str::to_owned)), "{name}");
        }
        assert!(image("python:3.12-alpine3.20", |image| image.is_musl()) && image("alpine", |image| image.is_musl()));
        assert!(!image("python:3.12-slim", |image| image.is_musl()));
    }
}
