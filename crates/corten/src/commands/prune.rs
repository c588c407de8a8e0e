//! `corten prune`.

use std::io::{self, IsTerminal};
use std::time::Duration;

use corten_diagnostic::{Failure, Report};
use corten_flow::prune::{self, PruneRequest};
use corten_flow::{Pruning, World, classes};
use serde::Serialize;

use super::result;
use crate::args::{self, Format};
use crate::render::say;
use crate::render::text::{size, table};

/// What `--format json` prints: all documented in docs/json.md.
#[derive(Serialize)]
struct Shape {
    /// Names that go, or went.
    images: Vec<String>,
    files: usize,
    freed: u64,
    left: u64,
    dry_run: bool,
}

/// Says what goes, asks, removes.
pub fn run(arguments: &args::Prune, format: Format, world: &World<'_>) -> Result<u8, Report> {
    let (unused_for, cache_mounts) = filters(&arguments.filter)?;
    let request = PruneRequest { keep: arguments.keep_storage, unused_for, all: arguments.all, cache_mounts };
    if let Some(warning) = world.store.ground().warning().filter(|_| world.store.ground().is_network()) {
        world.events.warning(&warning);
    }
    let chosen = prune::prunable(&request, world)?;
    if chosen.is_empty() || arguments.dry_run {
        return told(&chosen, arguments.dry_run, format);
    }
    if !arguments.yes && !agreed(&chosen)? {
        say("nothing was removed");
        return Ok(1);
    }
    told(&prune::prune(chosen, world)?, false, format)
}

fn told(pruning: &Pruning, dry_run: bool, format: Format) -> Result<u8, Report> {
    let shape = Shape {
        images: pruning.names.iter().map(|(name, _)| name.to_string()).collect(),
        files: pruning.items.len(),
        freed: pruning.freed,
        left: pruning.left,
        dry_run,
    };
    result(format, &shape, || match (dry_run, pruning.is_empty()) {
        (_, true) => format!("nothing to remove; the store has {}", size(shape.left)),
        (true, _) => format!("{}\nwould free {}, leave {}", listed(pruning), size(shape.freed), size(shape.left)),
        (false, _) => format!("freed {}; the store has {}", size(shape.freed), size(shape.left)),
    })?;
    Ok(0)
}

/// Names, and everything else by its kind.
fn listed(pruning: &Pruning) -> String {
    let of_names = pruning.names.iter().map(|(name, _)| vec![name.to_string(), String::new(), String::new()]);
    let by_class = classes(&pruning.items, |_| false);
    let of_classes = by_class
        .into_iter()
        .map(|(class, (files, bytes))| vec![class.name().to_owned(), files.to_string(), size(bytes)]);
    let head = vec!["WHAT".to_owned(), "FILES".to_owned(), "SIZE".to_owned()];
    table(&std::iter::once(head).chain(of_names).chain(of_classes).collect::<Vec<_>>(), &[1, 2])
}

/// Asks on a terminal.
fn agreed(chosen: &Pruning) -> Result<bool, Failure> {
    let freed = size(chosen.freed);
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let failure = Failure::usage(format!("removing {freed}: nobody can be asked whether that is meant"));
        return Err(failure.hint("--yes removes without asking, --dry-run says what would go"));
    }
    say(&listed(chosen));
    say(&format!("Remove this, {freed} in all? [y/N]"));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|error| Failure::world(format!("reading the answer: {error}")))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// The longest `until` of all filters, and whether they ask for cache mounts alone.
fn filters(filters: &[String]) -> Result<(Duration, bool), Failure> {
    const HINT: &str = "there are until=720h and type=exec.cachemount";
    let (mut longest, mut cache_mounts) = (Duration::ZERO, false);
    for filter in filters {
        match filter.split_once('=') {
            None => return Err(Failure::usage(format!("--filter: '{filter}' is not KEY=VALUE")).hint(HINT)),
            Some(("until", value)) => longest = longest.max(until(value)?),
            Some(("type", "exec.cachemount")) => cache_mounts = true,
            Some(("type", value)) => {
                let failure = Failure::usage(format!("--filter type: '{value}' is no kind that can be chosen"));
                return Err(failure.hint("there is one: type=exec.cachemount, the caches of RUN --mount=type=cache"));
            }
            Some((key, _)) => return Err(Failure::usage(format!("--filter: '{key}' is no filter")).hint(HINT)),
        }
    }
    Ok((longest, cache_mounts))
}

fn until(value: &str) -> Result<Duration, Failure> {
    let why = || Failure::usage(format!("--filter until: '{value}' is no length of time"));
    duration(value).ok_or_else(|| why().hint("such as 720h, 24h30m or 30d"))
}

/// As Go writes them (`720h`, `1h30m`, `90s`), and days.
fn duration(text: &str) -> Option<Duration> {
    let (mut rest, mut sum) = (text, 0_u64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let seconds = match rest.as_bytes().get(digits)? {
            b'd' => 24 * 3600,
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        sum = sum.checked_add(number.checked_mul(seconds)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then(|| Duration::from_secs(sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_written_as_docker_has_them() {
        let hours = |text| duration(text).map(|found| found.as_secs() / 3600);
        assert_eq!((hours("720h"), hours("24h30m"), hours("30d")), (Some(720), Some(24), Some(720)));
        assert_eq!(duration("90s"), Some(Duration::from_secs(90)));
        for wrong in ["", "h", "7", "7w", "-7h", "1.5h", "99999999999999999999h", "9999999999999999999d", "7é"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
