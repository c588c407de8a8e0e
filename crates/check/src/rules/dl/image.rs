//! Names of images as hadolint cuts them, and what stages take from those before them.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use crate::lint::{Lint, Stage, Step};

/// What stands behind FROM.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Image<'l> {
    /// Bytes of the Dockerfile.
    pub(super) at: Range<usize>,
    /// With a dot in it.
    pub(super) registry: Option<&'l str>,
    /// Without registry, tag and digest.
    pub(super) name: &'l str,
    /// Behind `:`.
    pub(super) tag: Option<&'l str>,
    /// Behind `@`.
    pub(super) digest: Option<&'l str>,
    /// What the stage is called.
    pub(super) stage: Option<String>,
}

/// All of a file.
pub(super) fn images<'l>(lint: &'l Lint<'_>) -> Vec<(&'l Step<'l>, Image<'l>)> {
    let of = |step: &'l Step<'l>| {
        let from = step.from()?;
        let stage = from.name.as_ref().map(|name| name.text.clone());
        Some((step, Image { at: step.word(&from.image), stage, ..split(&from.image.text) }))
    };
    lint.steps.iter().filter_map(of).collect()
}

/// What stands in `${…}` is no part of another.
pub(super) fn split(text: &str) -> Image<'_> {
    let (registry, rest) = registry(text);
    let (name, rest) = cut(rest, &['@', ':']);
    let (tag, rest) = match rest.strip_prefix(':') {
        Some(rest) => {
            let (tag, rest) = cut(rest, &['@', ':']);
            (Some(tag), rest)
        }
        None => (None, rest),
    };
    Image { registry, name, tag, digest: rest.strip_prefix('@'), ..Image::default() }
}

/// `host.name/`, if it begins so.
fn registry(text: &str) -> (Option<&str>, &str) {
    let (host, rest) = cut(text, &['.']);
    let (domain, path) = cut(rest.strip_prefix('.').unwrap_or_default(), &['/']);
    match path.strip_prefix('/') {
        Some(path) if !host.is_empty() && !domain.is_empty() => (text.get(..host.len() + 1 + domain.len()), path),
        _ => (None, text),
    }
}

/// At the first of some characters that is not in `${…}`.
fn cut<'t>(text: &'t str, at: &[char]) -> (&'t str, &'t str) {
    let (mut depth, mut before) = (0_usize, ' ');
    for (place, letter) in text.char_indices() {
        match letter {
            '{' if depth > 0 || before == '$' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            _ if depth == 0 && at.contains(&letter) => return text.split_at(place),
            _ => {}
        }
        before = letter;
    }
    (text, "")
}

/// The name of the image that a step's stage stands on in the end.
pub(super) fn lowest<'l>(lint: &'l Lint<'_>, step: &Step<'_>) -> Option<&'l str> {
    let root = lint.root_of(lint.stage_of(step)?);
    Some(root.expanded.as_deref().unwrap_or(&root.image.text))
}

/// Does an image's name tell that it has the programs of Debian? Distroless ones have its libraries alone.
pub(super) fn is_debian(image: &str) -> bool {
    let has = |names: &[&str]| names.iter().any(|name| image.contains(name));
    has(&["debian", "ubuntu", "bookworm", "trixie", "slim"]) && !has(&["distroless", "alpine", "busybox"])
}

/// Something that is said once and holds for the stages that stand on it. Stages without a name go by that of their image.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    current: String,
    said: BTreeMap<String, bool>,
}

impl Inherited {
    /// A stage begins.
    pub(super) fn enter(&mut self, _: &Lint<'_>, step: &Step<'_>) {
        let Some(from) = step.from() else { return };
        let image = split(&from.image.text).name.to_ascii_lowercase();
        let said = self.said.get(&image).copied().unwrap_or_default();
        self.current = from.name.as_ref().map_or(image, |name| name.text.clone());
        self.said.insert(self.current.clone(), said);
    }

    /// It is said.
    pub(super) fn set(&mut self) {
        self.said.insert(self.current.clone(), true);
    }

    /// Was it?
    pub(super) fn is_set(&self) -> bool {
        self.said.get(&self.current).copied().unwrap_or_default()
    }
}

/// Stages whose files end in an image: the last one, and those that another stage stands on.
#[derive(Debug)]
pub(super) struct Kept(Vec<bool>);

impl Kept {
    /// Looks at all stages.
    pub(super) fn of(lint: &Lint<'_>) -> Self {
        let text = |stage: &Stage| {
            let name = stage.name.as_ref().map(|name| name.text.clone());
            (stage.image.text.clone(), name, stage.platform.as_ref().map(|platform| platform.text.clone()))
        };
        let last = lint.stages.last().map(text);
        let stood_on: HashSet<String> =
            lint.stages.iter().map(|stage| split(&stage.image.text).name.to_ascii_lowercase()).collect();
        let is_kept = |stage: &Stage| {
            let named = stage.name.as_ref().is_some_and(|name| stood_on.contains(&name.text));
            named || last.as_ref() == Some(&text(stage))
        };
        Self(lint.stages.iter().map(is_kept).collect())
    }

    /// Does what a step leaves end in an image? Of triggers always, and of a file without a stage.
    pub(super) fn has(&self, step: &Step<'_>) -> bool {
        step.is_trigger()
            || self.0.is_empty()
            || step.stage.is_some_and(|stage| self.0.get(stage).copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_where_hadolint_cuts_them() {
        let parts = |text| {
            let image = split(text);
            (image.registry, image.name, image.tag, image.digest)
        };
        assert_eq!(parts("debian"), (None, "debian", None, None));
        assert_eq!(parts("python:3.13-slim"), (None, "python", Some("3.13-slim"), None));
        assert_eq!(
            parts("nvcr.io/nvidia/cuda:12.1@sha256:00"),
            (Some("nvcr.io"), "nvidia/cuda", Some("12.1"), Some("sha256:00"))
        );
        assert_eq!(parts("registry.test:5000/a/b"), (Some("registry.test:5000"), "a/b", None, None));
        assert_eq!(parts("${BASE:-debian:12}"), (None, "${BASE:-debian:12}", None, None));
        assert_eq!(parts("a:${TAG:-1@2}@x"), (None, "a", Some("${TAG:-1@2}"), Some("x")));
    }
}
