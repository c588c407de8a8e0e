//! `--annotation`, as buildx reads it: `[KIND[PLATFORM],…:]NAME=VALUE`.

use std::collections::BTreeMap;

use corten_diagnostic::Failure;
use corten_flow::exports::IndexTexts;

/// Free text by where it goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations {
    /// Of the manifest.
    pub manifest: BTreeMap<String, String>,
    /// Of the index, and of descriptors.
    pub texts: IndexTexts,
}

impl Annotations {
    /// Reads all; `platform` is what is built.
    ///
    /// # Errors
    /// Usage.
    pub fn parse(all: &[String], platform: &str) -> Result<Self, Failure> {
        let mut annotations = Self::default();
        for text in all.iter().filter(|text| !text.is_empty()) {
            let wrong = |why: &str| {
                Failure::usage(format!("--annotation {text}: {why}"))
                    .hint("write NAME=VALUE, or manifest:NAME=VALUE; kinds are manifest, index, manifest-descriptor and index-descriptor")
            };
            let (left, value) = text.split_once('=').ok_or_else(|| wrong("it has no value"))?;
            let (kinds, name) = left.split_once(':').unwrap_or(("manifest", left));
            if name.is_empty() {
                return Err(wrong("it has no name"));
            }
            for kind in kinds.split(',') {
                let (kind, of) = match kind.split_once('[') {
                    None => (kind, None),
                    Some((kind, rest)) => {
                        (kind, Some(rest.strip_suffix(']').ok_or_else(|| wrong("a bracket is not closed"))?))
                    }
                };
                if let Some(of) = of.filter(|of| *of != platform) {
                    return Err(wrong(&format!("it is of {of}, and {platform} is built")));
                }
                let to = match kind {
                    "manifest" => &mut annotations.manifest,
                    "index" => &mut annotations.texts.index,
                    "manifest-descriptor" => &mut annotations.texts.manifest_descriptor,
                    "index-descriptor" => &mut annotations.texts.index_descriptor,
                    other => return Err(wrong(&format!("'{other}' is no kind"))),
                };
                to.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(annotations)
    }
}

/// Refuses what only an index has, where there is none.
///
/// # Errors
/// Usage.
pub fn without_index(texts: &IndexTexts) -> Result<(), Failure> {
    let kind = match (texts.index.is_empty(), texts.index_descriptor.is_empty()) {
        (true, true) => return Ok(()),
        (false, _) => "index",
        (true, false) => "index-descriptor",
    };
    Err(Failure::usage(format!("--annotation {kind}:…: an image of one platform has no index"))
        .hint("--sbom true or --provenance true makes one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(all: &[&str]) -> Result<Annotations, String> {
        let all: Vec<String> = all.iter().map(|text| (*text).to_owned()).collect();
        Annotations::parse(&all, "linux/amd64").map_err(|failure| failure.to_string())
    }

    /// The examples of buildx's own page of --annotation.
    #[test]
    fn annotations_are_read_as_buildx_has_them() {
        let pair = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        assert_eq!(parse(&["foo=bar=baz", ""]).unwrap().manifest, pair("foo", "bar=baz"));
        let both = parse(&["manifest[linux/amd64],index:foo=bar"]).unwrap();
        assert_eq!((both.manifest, both.texts.index), (pair("foo", "bar"), pair("foo", "bar")));
        let texts = parse(&["manifest-descriptor:a.b/c=", "index-descriptor:d=e"]).unwrap().texts;
        assert_eq!((texts.manifest_descriptor, texts.index_descriptor), (pair("a.b/c", ""), pair("d", "e")));
        for (wrong, why) in [
            ("foo", "it has no value"),
            ("manifest:=x", "it has no name"),
            ("manifests:a=x", "'manifests' is no kind"),
            ("manifest[linux/amd64:a=x", "a bracket is not closed"),
            ("manifest[linux/arm64]:a=x", "it is of linux/arm64, and linux/amd64 is built"),
        ] {
            assert_eq!(parse(&[wrong]).unwrap_err(), format!("--annotation {wrong}: {why}"));
        }
    }
}
