//! Why a step was made and not taken from the store: a value, so that whoever asks can be told.

use std::fmt;

use corten_diagnostic::Failure;
use corten_oci::Digest;
use corten_store::{Key, Store};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Letters of a value that are shown.
const SHOWN: usize = 120;

/// Why a step was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Miss {
    /// It was never made before.
    First,
    /// What it does is not what it did: the first value that differs.
    OperationChanged {
        /// What of it.
        what: String,
        /// The last time.
        from: String,
        /// This time.
        to: String,
    },
    /// Files that it takes differ.
    FilesChanged {
        /// The first of them by name, where they are told apart.
        first: Option<String>,
        /// How many.
        count: usize,
    },
    /// The image that the stage stands on is another one.
    BaseMoved,
    /// A step before it was made again, and what it left differs.
    InputRan {
        /// That step.
        step: String,
    },
    /// It was made before, of the same, and is no longer in the store.
    Evicted,
    /// As `--no-cache` asks.
    Asked,
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("it was not made here before"),
            Self::OperationChanged { what, from, to } => write!(f, "{what} changed from {from} to {to}"),
            Self::FilesChanged { first: Some(first), count: 1 } => write!(f, "{first} changed"),
            Self::FilesChanged { first: Some(first), count } => {
                write!(f, "{first} and {} more files changed", count - 1)
            }
            Self::FilesChanged { first: None, .. } => f.write_str("the files that it takes changed"),
            Self::BaseMoved => f.write_str("the image below it is another one"),
            Self::InputRan { step } => write!(f, "{step} was made again before it"),
            Self::Evicted => f.write_str("it was made before, and is no longer in the store"),
            Self::Asked => f.write_str("--no-cache asks for it"),
        }
    }
}

/// What a step was made of: remembered for its place in a project, to be compared the next time. Never a secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct MadeOf {
    pub(super) key: Digest,
    pub(super) operation: Value,
    pub(super) parent: Digest,
    pub(super) content: Option<Digest>,
}

/// The place of a step.
pub(super) fn place(project: &str, stage: &str, step: usize) -> Key {
    Key(Digest::of(format!("corten step 1\n{project}\n{stage}\n{step}")))
}

pub(super) fn before(store: &Store, place: &Key) -> Option<MadeOf> {
    let bytes = store.record(place).ok().flatten()?;
    serde_json::from_slice(&bytes).ok()
}

impl MadeOf {
    pub(super) fn encode(&self) -> Result<Vec<u8>, Failure> {
        serde_json::to_vec(self).map_err(|error| Failure::bug(format!("remembering a step: {error}")))
    }
}

/// Compares; `changed` tells the files that differ, `made_before` the last step of the stage that was made again.
pub(super) fn miss(
    old: Option<&MadeOf>,
    new: &MadeOf,
    changed: impl FnOnce() -> (Option<String>, usize),
    made_before: Option<&str>,
) -> Miss {
    let Some(old) = old else { return Miss::First };
    if old.key == new.key {
        return Miss::Evicted;
    }
    if old.operation != new.operation {
        let (what, from, to) = difference("", &old.operation, &new.operation);
        return Miss::OperationChanged { what, from, to };
    }
    if old.parent != new.parent {
        return match made_before {
            Some(step) => Miss::InputRan { step: step.to_owned() },
            None => Miss::BaseMoved,
        };
    }
    let (first, count) = changed();
    Miss::FilesChanged { first, count }
}

/// The first value in which two documents differ.
fn difference(what: &str, old: &Value, new: &Value) -> (String, String, String) {
    let named = |name: &str| if what.is_empty() { name.to_owned() } else { format!("{what} {name}") };
    match (old, new) {
        (Value::Object(one), Value::Object(other)) => {
            let names = one.keys().chain(other.keys()).find(|name| one.get(*name) != other.get(*name));
            match names {
                Some(name) => difference(
                    &named(name),
                    one.get(name).unwrap_or(&Value::Null),
                    other.get(name).unwrap_or(&Value::Null),
                ),
                None => (what.to_owned(), shown(old), shown(new)),
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            match one.iter().zip(other).find(|(one, other)| one != other) {
                Some((one, other)) => difference(what, one, other),
                None => (what.to_owned(), shown(old), shown(new)),
            }
        }
        _ => (what.to_owned(), shown(old), shown(new)),
    }
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => format!("'{}'", text.escape_debug()),
        other => other.to_string(),
    };
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made(operation: Value, parent: &str, content: &str) -> MadeOf {
        let key = Digest::of(format!("{operation}{parent}{content}"));
        MadeOf { key, operation, parent: Digest::of(parent), content: Some(Digest::of(content)) }
    }

    #[test]
    fn the_first_value_that_differs_is_the_reason() {
        let run =
            |command: &str, value: &str| json!({"RUN": [ "/bin/sh", "-c", command ], "environment": [["A", value]]});
        let tell = |old: &MadeOf, new: &MadeOf| {
            miss(Some(old), new, || (Some("src/a.py".into()), 3), Some("[2/4] RUN make")).to_string()
        };
        let old = made(run("make", "1"), "base", "x");
        assert_eq!(tell(&old, &made(run("make all", "1"), "base", "x")), "RUN changed from 'make' to 'make all'");
        assert_eq!(tell(&old, &made(run("make", "2"), "base", "x")), "environment changed from '1' to '2'");
        assert_eq!(tell(&old, &made(run("make", "1"), "other", "x")), "[2/4] RUN make was made again before it");
        assert_eq!(tell(&old, &made(run("make", "1"), "base", "y")), "src/a.py and 2 more files changed");
        assert_eq!(tell(&old, &old.clone()), "it was made before, and is no longer in the store");
        assert_eq!(miss(None, &old, || (None, 0), None), Miss::First);
        assert_eq!(miss(Some(&old), &made(run("make", "1"), "other", "x"), || (None, 0), None), Miss::BaseMoved);
    }
}
