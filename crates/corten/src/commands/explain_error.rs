//! `corten explain`: what an error around CUDA and GPUs means.

use std::io::Read;

use corten_check::cuda::{Meaning, explain, meanings};
use corten_diagnostic::{Failure, Report};
use serde_json::json;

use super::result;
use crate::args::{self, Format};
use crate::render::text::{bold, dim, lines, width};

/// Bytes of standard input.
const LONGEST: u64 = 64 << 20;

/// Explains a message, or what of a log is known; status 1 where nothing is.
pub fn run(arguments: &args::Explain, format: Format) -> Result<u8, Report> {
    let text = match arguments.text.as_slice() {
        [one] if one == "-" => standard_input()?,
        words => words.join(" "),
    };
    let found = explain(&text);
    if found.is_empty() {
        let known: Vec<&str> = meanings().iter().map(|one| one.id.as_str()).collect();
        return Err(Failure::input("this text is not known")
            .hint("give the line of the error as it was printed; or a whole log: corten explain - < LOG")
            .hint(format!("known are {}", known.join(", ")))
            .into());
    }
    let shape = |one: &&Meaning| json!({"id": one.id, "means": one.means, "look": one.look, "change": one.change, "command": one.command, "source": one.source});
    let shapes = json!({"explanations": found.iter().map(shape).collect::<Vec<_>>()});
    // Of a log, the most telling alone; JSON has all.
    result(format, &shapes, || found.first().map(|one| self::text(one)).unwrap_or_default())?;
    Ok(0)
}

fn standard_input() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(LONGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::world(format!("reading standard input: {error}")))?;
    if bytes.len() as u64 > LONGEST {
        return Err(Failure::input(format!("standard input has more than {} MB", LONGEST >> 20))
            .hint("its end is what matters: tail -c 1M LOG | corten explain -"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn text(one: &Meaning) -> String {
    let paragraph = |title: &str, text: &str| {
        let all = lines(text, width().saturating_sub(12).max(40));
        let rows = all.into_iter().enumerate();
        rows.map(|(at, line)| format!("{:<10}{line}", if at == 0 { title } else { "" })).collect::<Vec<_>>().join("\n")
    };
    let mut text = vec![bold(&one.id), paragraph("means", &one.means)];
    text.extend(one.look.iter().map(|look| paragraph("look at", look)));
    text.extend(one.change.iter().map(|change| paragraph("try", change)));
    text.push(paragraph("command", &one.command));
    text.push(dim(&paragraph("source", &one.source)));
    text.join("\n")
}
