//! What errors around CUDA and GPUs mean: a table by parts of their texts.

use std::sync::OnceLock;

use serde::Deserialize;

const TABLE: &str = include_str!("errors.toml");
/// Bytes of a log that are looked at: its end, where the error is.
const LONGEST: usize = 1 << 20;
/// A question has to have as many letters to be sought inside of known texts.
const SHORTEST: usize = 8;

/// One error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meaning {
    /// In words with dashes.
    pub id: String,
    texts: Vec<String>,
    /// What it means.
    pub means: String,
    /// What to look at.
    pub look: Vec<String>,
    /// What helps.
    pub change: Vec<String>,
    /// The command that says more.
    pub command: String,
    /// Where that stands.
    pub source: String,
}

#[derive(Deserialize)]
struct Table {
    error: Vec<Meaning>,
}

/// All errors that are known.
pub fn meanings() -> &'static [Meaning] {
    static TABLE_READ: OnceLock<Vec<Meaning>> = OnceLock::new();
    TABLE_READ.get_or_init(|| toml::from_str::<Table>(TABLE).map(|table| table.error).unwrap_or_default())
}

/// What an error, or the log that it stands in, means: the most telling first.
pub fn explain(text: &str) -> Vec<&'static Meaning> {
    let mut start = text.len().saturating_sub(LONGEST);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let wanted = plain(text.get(start..).unwrap_or_default());
    let mut found: Vec<(usize, &Meaning)> =
        meanings().iter().filter_map(|one| Some((likeness(one, &wanted)?, one))).collect();
    found.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    found.into_iter().map(|(_, one)| one).collect()
}

/// How many letters of it are known; none where nothing is.
fn likeness(meaning: &Meaning, wanted: &str) -> Option<usize> {
    let texts = meaning.texts.iter();
    let asked = |known: &&String| wanted.contains(known.as_str()) || wanted.len() >= SHORTEST && known.contains(wanted);
    texts.filter(asked).map(|known| known.len().min(wanted.len())).max()
}

/// Lower case, one space between words.
fn plain(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str) -> &str {
        explain(text).first().map_or("", |one| one.id.as_str())
    }

    /// As the programs print them.
    #[test]
    fn messages_are_known_as_they_are_printed() {
        for (text, expected) in [
            ("no kernel image is available", "no-kernel-image"),
            (
                "RuntimeError: CUDA error: no kernel image is available for execution on the device\nCUDA kernel errors might be asynchronously reported",
                "no-kernel-image",
            ),
            (
                "NVIDIA GeForce RTX 5090 with CUDA capability sm_120 is not compatible with the current PyTorch installation.",
                "no-kernel-image",
            ),
            ("CUDA driver version is insufficient for CUDA runtime version", "driver-too-old"),
            ("The NVIDIA driver on your system is too old (found version 12080).", "driver-too-old"),
            (
                "RuntimeError: CUDA error: the provided PTX was compiled with an unsupported toolchain.",
                "unsupported-ptx",
            ),
            ("Error 804: forward compatibility was attempted on non supported HW", "forward-compatibility"),
            (
                "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.8, please update your driver",
                "unsatisfied-requirement",
            ),
            (
                "docker: Error response from daemon: could not select device driver \"\" with capabilities: [[gpu]].",
                "no-device-driver",
            ),
            ("unresolvable CDI devices nvidia.com/gpu=all", "unresolvable-cdi"),
            ("Failed to initialize NVML: Unknown Error", "nvml-unknown"),
            (
                "ImportError: libcudnn.so.9: cannot open shared object file: No such file or directory",
                "library-missing",
            ),
            ("ImportError: libcuda.so.1: cannot open shared object file", "no-libcuda"),
            ("AssertionError: Torch not compiled with CUDA enabled", "no-libcuda"),
            ("RuntimeError: DataLoader worker (pid 42) is killed by signal: Bus error.", "shared-memory"),
            ("torch.OutOfMemoryError: CUDA out of memory.", "out-of-memory"),
            ("kernel image is available", "no-kernel-image"),
            ("hello world", ""),
            ("cuda", ""),
            ("", ""),
        ] {
            assert_eq!(first(text), expected, "{text}");
        }
        let long = format!("{}é no kernel image is available", "x".repeat(3 << 20));
        assert_eq!(first(&long), "no-kernel-image");
    }

    #[test]
    fn each_says_what_to_do() {
        assert!(meanings().len() >= 12);
        for one in meanings() {
            assert!(
                !one.look.is_empty() && !one.change.is_empty() && !one.command.is_empty() && !one.source.is_empty(),
                "{}",
                one.id
            );
            assert!(one.texts.iter().all(|text| *text == plain(text)), "{}: texts are in lower case", one.id);
            assert!(
                one.means.chars().next().is_some_and(char::is_lowercase) && !one.means.ends_with('.'),
                "{}",
                one.id
            );
        }
    }
}
