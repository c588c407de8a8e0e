//! What a user is told when something is wrong, compared as a whole: message, place, caret, causes, hints.

use corten_testkit::command::Ran;

use crate::service::Service;

/// Runs `line` and fails the test unless it ends with `status`, prints nothing on stdout, and says exactly `expected`
/// from its first error or finding on. `…` stands for what may differ within a line; ARCHIVE and INDEX for the servers.
#[track_caller]
pub fn refuses(service: &Service, line: &str, status: i32, expected: &str) -> Ran {
    let ran = service.run(line);
    told(service, &ran, status, expected);
    ran
}

/// As [`refuses`], of what has run.
#[track_caller]
pub fn told(service: &Service, ran: &Ran, status: i32, expected: &str) {
    let error = error_of(service, ran);
    assert_eq!(ran.stdout, "", "stdout is data; stderr was:\n{}", ran.stderr);
    assert!(same(&error, expected.trim()), "said:\n{error}\n\nexpected:\n{}\n\nall:\n{}", expected.trim(), ran.stderr);
    assert_eq!(ran.status, status, "{}", ran.stderr);
}

/// From the first error or finding to the end, with names for what is different each time.
fn error_of(service: &Service, ran: &Ran) -> String {
    let told = |line: &&str| ["error", "warning:", "info:"].iter().any(|begin| line.starts_with(begin));
    let lines = ran.stderr.lines().skip_while(|line| !told(line));
    let error = lines.map(str::trim_end).collect::<Vec<_>>().join("\n");
    let archive = service.archive.server.url("");
    let index = service.index.server().url("");
    error.trim_end().replace(archive.trim_end_matches('/'), "ARCHIVE").replace(index.trim_end_matches('/'), "INDEX")
}

fn same(said: &str, expected: &str) -> bool {
    said.lines().count() == expected.lines().count()
        && said.lines().zip(expected.lines()).all(|(said, expected)| fits(said, expected))
}

/// Do the pieces between the `…` stand in the line, in their order, the first at its begin, the last at its end?
fn fits(said: &str, expected: &str) -> bool {
    let Some((first, rest)) = expected.split_once('…') else { return said == expected };
    let Some(mut left) = said.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = rest.split('…').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match left.split_once(piece) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    left.ends_with(last)
}

#[test]
fn texts_are_compared_to_the_letter() {
    assert!(same("a 1 b\nc", "a … b\nc") && same("a12b", "…1…b") && same("ab", "a…b"));
    assert!(
        !same("a 1 b", "a … c") && !same("a\nb", "a") && !same("a", "a\nb") && !same("a", "b") && !same("xa", "a…")
    );
}
