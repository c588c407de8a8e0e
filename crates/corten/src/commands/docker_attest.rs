//! `--sbom`, `--provenance` and `--attest`, as buildx reads them.

use corten_diagnostic::Failure;
use corten_flow::dockerfile::{Attestations, Mode};

use crate::args::DockerBuild;

/// What is wanted; `--sbom` and `--provenance` go before `--attest`.
///
/// # Errors
/// Usage.
pub fn attestations(docker: &DockerBuild) -> Result<Attestations, Failure> {
    let mut wanted = Attestations::default();
    for text in &docker.attestations {
        one(&format!("--attest {text}"), text, &mut wanted)?;
    }
    for (kind, text) in [("sbom", &docker.sbom), ("provenance", &docker.provenance)] {
        let Some(text) = text else { continue };
        let fields = match truth(text) {
            Some(is_wanted) => format!("type={kind},disabled={}", !is_wanted),
            None => format!("type={kind},{text}"),
        };
        one(&format!("--{kind} {text}"), &fields, &mut wanted)?;
    }
    Ok(wanted)
}

fn one(shown: &str, text: &str, wanted: &mut Attestations) -> Result<(), Failure> {
    let wrong = |why: &str| {
        Failure::usage(format!("{shown}: {why}"))
            .hint("--sbom true, --provenance mode=max, --attest type=provenance,mode=min")
    };
    let (mut kind, mut is_disabled, mut mode, mut builder) = (None, false, None, None);
    for field in text.split(',') {
        let (key, value) = field.split_once('=').ok_or_else(|| wrong(&format!("'{field}' is no key=value")))?;
        match (key, value) {
            ("type", "sbom" | "provenance") => kind = Some(value),
            ("type", _) => return Err(wrong(&format!("type={value} is not known: there are sbom and provenance"))),
            ("disabled", _) => {
                is_disabled = truth(value).ok_or_else(|| wrong("disabled is true or false"))?;
            }
            ("mode", "min") => mode = Some(Mode::Min),
            ("mode", "max") => mode = Some(Mode::Max),
            ("version", "v1") => {}
            ("version", _) => return Err(wrong("provenance is written in version v1 alone")),
            ("builder-id", _) => builder = Some(value),
            ("generator", _) => return Err(wrong("images that generate a bill of materials are not run")),
            _ => return Err(wrong(&format!("'{field}' is not known"))),
        }
    }
    let is_sbom = match kind {
        Some("sbom") => true,
        Some(_) => false,
        None => return Err(wrong("it has no type")),
    };
    if is_sbom && (mode.is_some() || builder.is_some()) {
        return Err(wrong("mode and builder-id are of provenance"));
    }
    if is_sbom {
        wanted.sbom = !is_disabled;
    } else {
        wanted.provenance = (!is_disabled).then_some(mode.unwrap_or(Mode::Min));
        wanted.builder = builder.unwrap_or_default().to_owned();
    }
    Ok(())
}

/// As Go reads it.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
