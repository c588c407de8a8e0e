//! What two images differ in.

use std::collections::BTreeSet;
use std::fmt::Debug;

use serde_json::{Value, json};

use super::image::{Change, Entry, Files, Read, groups, stack};

/// One thing that is otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where it is about a file.
    pub path: Option<String>,
    pub text: String,
}

/// Ours beside theirs. Times before `start`, which came from somewhere, are compared; later ones are the build's own.
pub fn differences(ours: &Read, theirs: &Read, start: i64) -> Vec<Difference> {
    let mut found = Vec::new();
    config(&ours.config, &theirs.config, &mut found);
    let (one, own) = stack(&ours.layers);
    let (two, other) = stack(&theirs.layers);
    differ("the number of layers", &one.len(), &two.len(), &mut found);
    if one.len() == two.len() {
        one.iter().zip(&two).enumerate().for_each(|(at, (one, two))| layer(at, one, two, &mut found));
    }
    files(&own, &other, start, &mut found);
    found
}

fn differ<T: PartialEq + Debug>(what: &str, ours: &T, theirs: &T, found: &mut Vec<Difference>) {
    if ours != theirs {
        found.push(Difference { path: None, text: format!("{what}: {ours:?}, BuildKit's {theirs:?}") });
    }
}

/// All but times, and `ArgsEscaped`, which is of Windows alone (image-spec, config.md).
fn config(ours: &Value, theirs: &Value, found: &mut Vec<Difference>) {
    let plain = |config: &Value| {
        let mut config = config.clone();
        let all = config.as_object_mut().unwrap();
        all.remove("created");
        all.remove("rootfs");
        if let Some(inner) = all.get_mut("config").and_then(Value::as_object_mut) {
            inner.remove("ArgsEscaped");
        }
        for entry in all.get_mut("history").and_then(Value::as_array_mut).into_iter().flatten() {
            entry.as_object_mut().unwrap().remove("created");
        }
        config
    };
    values("config", &plain(ours), &plain(theirs), found);
}

fn values(what: &str, ours: &Value, theirs: &Value, found: &mut Vec<Difference>) {
    match (ours, theirs) {
        (Value::Object(one), Value::Object(two)) => {
            let names: BTreeSet<&String> = one.keys().chain(two.keys()).collect();
            for name in names {
                let of = |all: &serde_json::Map<String, Value>| all.get(name).cloned().unwrap_or(Value::Null);
                values(&format!("{what} {name}"), &of(one), &of(two), found);
            }
        }
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            let pairs = one.iter().zip(two).enumerate();
            pairs.for_each(|(at, (one, two))| values(&format!("{what}[{at}]"), one, two, found));
        }
        _ if ours == theirs => {}
        _ => found.push(Difference { path: None, text: format!("{what}: {ours}, BuildKit's {theirs}") }),
    }
}

fn layer(at: usize, ours: &Change, theirs: &Change, found: &mut Vec<Difference>) {
    let put = |change: &Change| change.put.keys().cloned().collect::<BTreeSet<_>>();
    let all = [
        ("puts", put(ours), put(theirs)),
        ("removes", ours.removed.clone(), theirs.removed.clone()),
        ("idly removes", ours.idle.clone(), theirs.idle.clone()),
    ];
    for (what, own, other) in all {
        let mut tell = |path: &String, whose: &str| {
            found.push(Difference { path: Some(path.clone()), text: format!("layer {at}: {whose} {what} /{path}") });
        };
        own.difference(&other).for_each(|path| tell(path, "only ours"));
        other.difference(&own).for_each(|path| tell(path, "only BuildKit's"));
    }
}

fn files(ours: &Files, theirs: &Files, start: i64, found: &mut Vec<Difference>) {
    let paths: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    for path in paths {
        let mut tell = |text: String| found.push(Difference { path: Some(path.clone()), text });
        match (ours.get(path), theirs.get(path)) {
            (Some(_), None) => tell(format!("/{path} is not BuildKit's")),
            (None, _) => tell(format!("/{path} is missing")),
            (Some(one), Some(two)) => {
                let (mut one, two) = (told(one, start), told(two, start));
                // A RUN's layer here has no folder that differs in its time alone; a COPY's tells the folders above it anew.
                if one["kind"] == "directory" && [&one, &two].iter().any(|entry| entry["time"] == "now") {
                    one["time"] = two["time"].clone();
                }
                if one != two {
                    let mut fields = Vec::new();
                    values("", &one, &two, &mut fields);
                    fields.into_iter().for_each(|field| tell(format!("/{path}{}", field.text)));
                }
            }
        }
    }
    let (one, two) = (groups(ours), groups(theirs));
    for group in one.symmetric_difference(&two) {
        let whose = if one.contains(group) { "only here" } else { "only with BuildKit" };
        found.push(Difference {
            path: Some(group[0].to_owned()),
            text: format!("/{} are one file {whose}", group.join(" /")),
        });
    }
}

fn told(entry: &Entry, start: i64) -> Value {
    json!({
        "kind": entry.kind, "mode": format!("{:o}", entry.mode), "uid": entry.uid, "gid": entry.gid,
        "link": entry.link, "size": entry.size, "sha256": entry.sha256, "device": entry.device,
        "time": if entry.time >= start { json!("now") } else { json!(entry.time) },
        "xattrs": entry.xattrs,
    })
}
