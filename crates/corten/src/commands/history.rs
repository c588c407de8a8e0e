//! `corten history`.

use corten_diagnostic::{Failure, Report};
use corten_flow::World;
use corten_flow::look::{self, Step, View};
use serde_json::{Value, json};

use super::inspect::wanted;
use super::{registry_options, result};
use crate::args::{self, Format};
use crate::render::text::{dim, lines, safe, size, width};

/// Shows how an image came about.
pub fn run(arguments: &args::History, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let options = registry_options(&arguments.look.registry)?;
    let found = look::find(&wanted(&arguments.image, &arguments.look), &options, world)?;
    let view = look::image(&found, arguments.look.platform.as_deref())?;
    if view.config.is_none() {
        return Err(Failure::input(format!("{} is no image: it has no history", arguments.image)).into());
    }
    let shape = json!({"digest": view.digest, "history": steps(&view)});
    result(format, &shape, || text(&view))?;
    Ok(0)
}

/// Oldest first, in JSON.
pub fn steps(view: &View) -> Vec<Value> {
    let step = |step: &Step| {
        let layer = step.layer.and_then(|at| view.layers.get(at));
        json!({
            "created": step.created,
            "created_by": step.created_by,
            "comment": step.comment,
            "layer": layer.map(|layer| layer.blob.digest),
            "size": layer.map_or(0, |layer| layer.blob.size),
            "unpacked": match layer {
                Some(layer) => layer.unpacked.map(|(bytes, _)| bytes),
                None => Some(0),
            },
        })
    };
    view.history.iter().map(step).collect()
}

/// A command as it stood in the Dockerfile: without what the builders put around it.
pub fn readable(created_by: &str) -> String {
    let text = created_by.trim();
    let text = text.strip_suffix("# buildkit").unwrap_or(text).trim();
    if let Some(instruction) = text.split_once("#(nop)").map(|(_, rest)| rest.trim()) {
        return safe(instruction);
    }
    let shell = ["/bin/sh -c ", "/bin/bash -c "].iter().find_map(|shell| text.strip_prefix(shell));
    match (shell, text.strip_prefix("RUN /bin/sh -c ")) {
        (Some(command), _) | (None, Some(command)) => safe(&format!("RUN {}", command.trim())),
        (None, None) => safe(text),
    }
}

/// Newest first, as docker has it.
fn text(view: &View) -> String {
    let mut all = vec![format!("{:<20}  {:>9}  {:>9}  CREATED BY", "CREATED", "SIZE", "UNPACKED")];
    for step in view.history.iter().rev() {
        let layer = step.layer.and_then(|at| view.layers.get(at));
        let created = step.created.as_deref().map_or("-".to_owned(), |at| safe(at).chars().take(19).collect());
        let bytes = layer.map_or("0 B".to_owned(), |layer| size(layer.blob.size));
        let unpacked = match layer {
            Some(layer) => layer.unpacked.map_or("-".to_owned(), |(bytes, _)| size(bytes)),
            None => "0 B".to_owned(),
        };
        let comment = step
            .comment
            .as_deref()
            .filter(|text| !text.is_empty() && *text != "corten" && !text.starts_with("buildkit."));
        let comment = comment.map(|text| dim(&format!("  # {}", safe(text)))).unwrap_or_default();
        let by = match step.created_by.trim() {
            "" => "(not told)".to_owned(),
            text => readable(text),
        };
        let column = 44;
        let mut by = by.lines().flat_map(|line| lines(line.trim_end(), width().saturating_sub(column).max(40)));
        let first = by.next().unwrap_or_default();
        all.push(format!("{created:<20}  {bytes:>9}  {unpacked:>9}  {first}{comment}"));
        all.extend(by.map(|line| format!("{:column$}  {line}", "")));
    }
    all.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn commands_read_as_they_were_written() {
        for (raw, expected) in [
            ("/bin/sh -c #(nop)  CMD [\"python3\"]", "CMD [\"python3\"]"),
            ("/bin/sh -c #(nop) ADD file:1234 in / ", "ADD file:1234 in /"),
            ("/bin/sh -c apt-get update", "RUN apt-get update"),
            ("RUN /bin/sh -c pip install x # buildkit", "RUN pip install x"),
            ("ENV A=1", "ENV A=1"),
            ("COPY . . # buildkit", "COPY . ."),
            ("x\u{1b}[31m", "x\u{fffd}[31m"),
            ("", ""),
        ] {
            assert_eq!(readable(raw), expected);
        }
    }
}
