//! Packages that nothing can be installed of, on every platform that is asked for: told together, before anything is built.

use corten_diagnostic::{Failure, Report};
use corten_frontend::python::{NoWheel, Reason};
use corten_oci::Architecture;

/// How many are named in one sentence.
const NAMED: usize = 24;

/// What a platform lacks.
pub struct Missing {
    /// The platform.
    pub architecture: Architecture,
    /// In the order of the lock; may be empty.
    pub packages: Vec<NoWheel>,
}

/// One error for all of them; none where nothing is missing.
pub fn refuse(missing: &[Missing]) -> Option<Report> {
    let first = missing.iter().find_map(|one| one.packages.first())?;
    let (at, hint) = ((*first.at).clone(), first.hint.clone());
    let all: usize = missing.iter().map(|one| one.packages.len()).sum();
    let whole = where_nothing_is_missing(missing);
    let message = match (all, missing) {
        (1, _) => first.to_string(),
        (_, [one]) => {
            listed(one.packages.len(), one.packages.iter().map(|lack| format!("{} ({})", lack.package, lack.reason)))
        }
        _ => on_several(missing),
    };
    let failure = Failure::input(message).at(at).hint(hint);
    Some(whole.into_iter().fold(failure, Failure::hint).into())
}

fn listed(count: usize, all: impl Iterator<Item = String>) -> String {
    let mut named: Vec<String> = all.collect();
    let more = named.len().saturating_sub(NAMED);
    named.truncate(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let packages = if count == 1 { "1 package" } else { &format!("{count} packages") };
    format!("{packages} cannot be installed: {}{more}", named.join(", "))
}

/// Each package once, with the platforms that lack it.
fn on_several(missing: &[Missing]) -> String {
    let mut lacks: Vec<(&str, Reason, Vec<String>)> = Vec::new();
    for one in missing {
        let platform = format!("linux/{}", one.architecture);
        for lack in &one.packages {
            match lacks.iter_mut().find(|(package, reason, _)| *package == lack.package && *reason == lack.reason) {
                Some((_, _, platforms)) => platforms.push(platform.clone()),
                None => lacks.push((&lack.package, lack.reason, vec![platform.clone()])),
            }
        }
    }
    let mut names: Vec<&str> = lacks.iter().map(|(package, ..)| *package).collect();
    names.sort_unstable();
    names.dedup();
    let text = |(package, reason, platforms): &(&str, Reason, Vec<String>)| {
        format!("{package} on {} ({reason})", platforms.join(" and "))
    };
    listed(names.len(), lacks.iter().map(text))
}

fn where_nothing_is_missing(missing: &[Missing]) -> Option<String> {
    let whole = missing.iter().filter(|one| one.packages.is_empty()).map(|one| format!("linux/{}", one.architecture));
    let whole: Vec<String> = whole.collect();
    (!whole.is_empty()).then(|| format!("--platform {} builds for what all packages have wheels for", whole.join(",")))
}
