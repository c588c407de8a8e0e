//! Which base stands for the image of a FROM.

use crate::bases::BASES;

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stands {
    /// A base from Debian's archive; with what it differs in, if that is worth a word.
    For(&'static str, Option<String>),
    /// The image itself, which a registry has.
    Itself(String),
    /// Nothing: why.
    No(String),
}

/// Of `python:3.11-slim`, `debian:bookworm` and the like.
pub fn stands_for(image: &str) -> Stands {
    let plain = image.split('@').next().unwrap_or(image);
    let plain = plain.strip_prefix("docker.io/").unwrap_or(plain);
    let plain = plain.strip_prefix("library/").unwrap_or(plain);
    let (name, tag) = plain.split_once(':').unwrap_or((plain, "latest"));
    match name {
        "python" if tag.contains("alpine") => {
            Stands::No("it has musl, for which few wheels are made; Debian's base takes its place".to_owned())
        }
        "python" => python(image, tag),
        "debian" => debian(image, tag),
        _ => Stands::No(format!(
            "the base that fits the lock takes its place; base = \"{image}\" takes that image, where its registry is in reach"
        )),
    }
}

fn python(image: &str, tag: &str) -> Stands {
    let version = tag.split('-').next().unwrap_or_default();
    let mut parts = version.split('.');
    let (Some(major), Some(minor)) = (parts.next(), parts.next()) else {
        return Stands::No(
            "it names no minor version of Python; the base that fits the lock takes its place".to_owned(),
        );
    };
    let known = BASES.iter().find(|base| base.python.starts_with(&format!("{major}.{minor}.")));
    match known {
        Some(base) => {
            let exact = parts.next().filter(|_| base.python != version);
            Stands::For(base.reference, exact.map(|_| format!("its Python is {}, not {version}", base.python)))
        }
        None => Stands::Itself(image.to_owned()),
    }
}

fn debian(image: &str, tag: &str) -> Stands {
    let release = tag.split('-').next().unwrap_or_default();
    let release = release.split('.').next().unwrap_or_default();
    match release {
        "bookworm" | "12" => Stands::For("debian:bookworm", None),
        "trixie" | "13" => Stands::For("debian:trixie", None),
        _ => Stands::Itself(image.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_python_have_a_base() {
        assert_eq!(stands_for("python:3.11-slim"), Stands::For("debian:bookworm", None));
        assert_eq!(
            stands_for("docker.io/library/python:3.13-slim-trixie@sha256:00"),
            Stands::For("debian:trixie", None)
        );
        assert_eq!(
            stands_for("python:3.11.9"),
            Stands::For("debian:bookworm", Some("its Python is 3.11.2, not 3.11.9".into()))
        );
        assert_eq!(stands_for("python:3.12-slim"), Stands::Itself("python:3.12-slim".into()));
        assert_eq!(stands_for("debian:12-slim"), Stands::For("debian:bookworm", None));
        for other in ["python", "python:3.11-alpine", "nvidia/cuda:12.2.0-runtime-ubuntu22.04", "scratch"] {
            assert!(matches!(stands_for(other), Stands::No(_)), "{other}");
        }
    }
}
