//! `corten diff`.

use corten_diagnostic::Report;
use corten_flow::World;
use corten_flow::look::{self, Change, Difference, Field, FileChange, FileState, LayerView, PackageChange, Side};
use serde_json::{Value, json};

use super::inspect::{layer, place, wanted};
use super::{registry_options, result};
use crate::args::{self, Format};
use crate::render::text::{bold, dim, green, one_line, red, size, yellow};

/// How many files are named to people.
const SHOWN_FILES: usize = 40;

/// Compares two images.
pub fn run(arguments: &args::Diff, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let options = registry_options(&arguments.look.registry)?;
    let one = look::find(&wanted(&arguments.from, &arguments.look), &options, world)?;
    let other = look::find(&wanted(&arguments.to, &arguments.look), &options, world)?;
    let difference = look::diff(&one, &other, arguments.look.platform.as_deref())?;
    result(format, &shape(&difference), || text(&difference))?;
    Ok(u8::from(arguments.exit_code && !difference.is_empty()))
}

/// What `--format json` prints: all documented in docs/json.md.
fn shape(difference: &Difference) -> Value {
    let side = |side: &Side| {
        json!({
            "name": side.name,
            "found": place(side.place),
            "digest": side.digest,
            "platform": side.platform,
            "size": side.size,
            "unpacked": side.unpacked,
        })
    };
    let field = |field: &Field| json!({"name": field.name, "from": field.from, "to": field.to});
    let package = |one: &PackageChange| json!({"kind": one.kind, "name": one.name, "from": one.from, "to": one.to});
    let layers = |layers: &[LayerView]| layers.iter().map(layer).collect::<Vec<_>>();
    json!({
        "from": side(&difference.from),
        "to": side(&difference.to),
        "config": difference.config.iter().map(field).collect::<Vec<_>>(),
        "layers": {
            "shared": layers(&difference.layers.shared),
            "removed": layers(&difference.layers.removed),
            "added": layers(&difference.layers.added),
        },
        "files": difference.files.iter().map(file).collect::<Vec<_>>(),
        "packages": difference.packages.iter().map(package).collect::<Vec<_>>(),
    })
}

fn file(change: &FileChange) -> Value {
    let state = |state: FileState| {
        let (user, group) = state.owner;
        json!({"kind": state.kind, "size": state.size, "mode": format!("{:04o}", state.mode), "uid": user, "gid": group})
    };
    json!({
        "path": format!("/{}", change.path),
        "change": change.change.name(),
        "what": change.what,
        "from": change.from.map(state),
        "to": change.to.map(state),
        "package": change.package,
    })
}

fn text(difference: &Difference) -> String {
    let side = |name: &str, side: &Side| {
        let sizes = format!("{} ({} unpacked)", size(side.size), size(side.unpacked));
        format!("{name:<4}  {}  {}  {sizes}", bold(&one_line(&side.name)), dim(&side.digest.to_string()))
    };
    let (from, to) = (&difference.from, &difference.to);
    let by = format!("{} ({} unpacked)", growth(from.size, to.size), growth(from.unpacked, to.unpacked));
    let mut parts = vec![format!("{}\n{}\nsize  {by}", side("from", from), side("to", to))];
    parts.extend(titled("layers", layers(difference)));
    parts.extend(titled("config", difference.config.iter().map(config).collect()));
    parts.extend(titled("packages", difference.packages.iter().map(package).collect()));
    parts.extend(titled("files", files(&difference.files)));
    if difference.is_empty() {
        parts.push("nothing is different that a container could notice".to_owned());
    }
    parts.join("\n\n")
}

fn titled(title: &str, lines: Vec<String>) -> Option<String> {
    let indented = lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n");
    (!lines.is_empty()).then(|| format!("{}\n{indented}", bold(title)))
}

fn growth(from: u64, to: u64) -> String {
    match to.checked_sub(from) {
        Some(0) => "±0 B".to_owned(),
        Some(more) => format!("+{}", size(more)),
        None => format!("-{}", size(from - to)),
    }
}

fn config(field: &Field) -> String {
    let name = one_line(&field.name);
    let shown = |value: &Option<String>| value.as_deref().map(one_line).unwrap_or_default();
    match (&field.from, &field.to) {
        (None, _) => green(&format!("+ {name}={}", shown(&field.to))),
        (_, None) => red(&format!("- {name}={}", shown(&field.from))),
        _ => format!("{} {name}: {} → {}", yellow("~"), red(&shown(&field.from)), green(&shown(&field.to))),
    }
}

fn package(change: &PackageChange) -> String {
    let name = format!("{} {}", change.kind, one_line(&change.name));
    let shown = |value: &Option<String>| value.as_deref().map(one_line).unwrap_or_default();
    match (&change.from, &change.to) {
        (None, _) => green(&format!("+ {name} {}", shown(&change.to))),
        (_, None) => red(&format!("- {name} {}", shown(&change.from))),
        _ => format!("{} {name} {} → {}", yellow("~"), shown(&change.from), shown(&change.to)),
    }
}

fn layers(difference: &Difference) -> Vec<String> {
    let layers = &difference.layers;
    let shared = layers.shared.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.blob.size));
    let mut lines = vec![format!("= {} shared, {}", layers.shared.len(), size(shared))];
    let one = |sign: &str, layer: &LayerView| {
        let by = layer.created_by.as_deref().map(super::history::readable).unwrap_or_default();
        let by: String = by.lines().next().unwrap_or_default().chars().take(80).collect();
        format!("{sign} {:>9}  sha256:{}  {by}", size(layer.blob.size), layer.blob.digest.short())
    };
    lines.extend(layers.removed.iter().map(|layer| red(one("-", layer).trim_end())));
    lines.extend(layers.added.iter().map(|layer| green(one("+", layer).trim_end())));
    lines
}

/// The files that changed their sizes most; all of them are counted.
fn files(changes: &[FileChange]) -> Vec<String> {
    let count = |wanted: Change| changes.iter().filter(|change| change.change == wanted).count();
    if changes.is_empty() {
        return Vec::new();
    }
    let counts = [Change::Added, Change::Removed, Change::Changed].map(|change| (count(change), change.name()));
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}"));
    let mut lines = vec![counts.collect::<Vec<_>>().join(", ")];
    let mut largest: Vec<&FileChange> = changes.iter().collect();
    largest.sort_by_key(|change| (std::cmp::Reverse(change.growth().unsigned_abs()), &change.path));
    largest.truncate(SHOWN_FILES);
    largest.sort_by_key(|change| &change.path);
    lines.extend(largest.iter().map(|change| file_line(change)));
    if let Some(more) = changes.len().checked_sub(SHOWN_FILES).filter(|more| *more > 0) {
        lines.push(dim(&format!("and {more} smaller changes: --format json lists all")));
    }
    lines
}

fn file_line(change: &FileChange) -> String {
    let path = one_line(&format!("/{}", change.path));
    let bytes = |state: Option<FileState>| size(state.map_or(0, |state| state.size));
    match change.change {
        Change::Added => green(&format!("+ {:>9}  {path}", bytes(change.to))),
        Change::Removed => red(&format!("- {:>9}  {path}", bytes(change.from))),
        Change::Changed => {
            let sizes = change.from.zip(change.to).map(|(from, to)| growth(from.size, to.size)).unwrap_or_default();
            format!("{} {sizes:>9}  {path}  {}", yellow("~"), dim(&change.what.join(", ")))
        }
    }
}
