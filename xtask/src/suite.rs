//! `cargo xtask test`: everything that must hold before a change goes in, with one result at the end.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use crate::shell::{cargo, in_ci, root, run};
use crate::{arrows, dependencies, packages, peers};

/// Sets up what the tests need and runs all of them. The last line on standard output sums them up.
///
/// # Errors
/// Names what failed.
pub fn all() -> Result<(), String> {
    let start = Instant::now();
    packages::install()?;
    run(cargo().args(["fmt", "--all", "--check"]))?;
    nothing_wrong("arrows", &arrows::violations()?)?;
    nothing_wrong("dependencies", &dependencies::violations()?)?;
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"]))?;
    let (total, skipped) = test()?;
    let done = conclude(&total, &skipped);
    let word = if done.is_ok() { "ok" } else { "FAILED" };
    println!(
        "test result: {word}. {} passed; {} failed; {} ignored; 0 measured; 0 filtered out; finished in {:.2}s",
        total.passed,
        total.failed,
        total.ignored,
        start.elapsed().as_secs_f64()
    );
    done
}

fn nothing_wrong(what: &str, violations: &[String]) -> Result<(), String> {
    if violations.is_empty() {
        eprintln!("{what}: fine");
        return Ok(());
    }
    Err(format!("{what}:\n  {}", violations.join("\n  ")))
}

/// Sum of what the test binaries say.
#[derive(Debug, Default, PartialEq)]
struct Total {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Did cargo end well?
    is_fine: bool,
}

/// Runs all tests and doc tests. The second value is what was left out, a line each.
fn test() -> Result<(Total, Vec<String>), String> {
    let list = root().join("target/skipped-tests");
    remove(&list)?;
    let mut command = cargo();
    command.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    command.env(peers::SKIPPED, &list).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot start cargo test: {error}"))?;
    let mut total = Total::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.map_err(|error| format!("cannot read what cargo test says: {error}"))?;
            println!("{}", total.take(&String::from_utf8_lossy(&line)));
        }
    }
    total.is_fine = child.wait().map_err(|error| format!("cannot wait for cargo test: {error}"))?.success();
    let mut skipped: Vec<_> = fs::read_to_string(&list).unwrap_or_default().lines().map(str::to_owned).collect();
    skipped.sort();
    skipped.dedup();
    Ok((total, skipped))
}

impl Total {
    /// Counts a line. The results of single binaries are shown without their first word, so that only the sum has it.
    fn take<'a>(&mut self, line: &'a str) -> &'a str {
        let Some(result) = line.strip_prefix("test ").filter(|rest| rest.starts_with("result: ")) else {
            return line;
        };
        for part in result.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let Some(number) = words.next().and_then(|word| word.parse::<u64>().ok()) else { continue };
            match words.next() {
                Some("passed") => self.passed += number,
                Some("failed") => self.failed += number,
                Some("ignored") => self.ignored += number,
                _ => {}
            }
        }
        result
    }
}

fn conclude(total: &Total, skipped: &[String]) -> Result<(), String> {
    if !skipped.is_empty() {
        println!("{} left out:\n  {}", skipped.len(), skipped.join("\n  "));
    }
    if !total.is_fine || total.failed > 0 {
        return Err(format!("{} tests failed", total.failed));
    }
    if total.passed == 0 {
        return Err("no test was run".into());
    }
    if total.ignored > 0 {
        return Err(format!("{} tests are ignored: a test runs or goes", total.ignored));
    }
    if in_ci() && !skipped.is_empty() {
        return Err(format!("{} things were left out, which CI does not allow", skipped.len()));
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), String> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("cannot remove {}: {error}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed_and_shown_once() {
        let mut total = Total::default();
        let line = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert!(total.take(line).starts_with("result: ok. 12 passed"));
        assert!(total.take("test result: FAILED. 3 passed; 2 failed; 0 ignored").starts_with("result: FAILED"));
        assert_eq!(total.take("test results_are_summed ... ok"), "test results_are_summed ... ok");
        assert_eq!(total, Total { passed: 15, failed: 2, ignored: 1, is_fine: false });
    }

    #[test]
    fn a_run_without_tests_or_with_failures_is_no_success() {
        let fine = || Total { passed: 3, failed: 0, ignored: 0, is_fine: true };
        assert!(conclude(&fine(), &[]).is_ok());
        assert!(conclude(&Total { passed: 0, ..fine() }, &[]).is_err());
        assert!(conclude(&Total { is_fine: false, ..fine() }, &[]).is_err());
        assert!(conclude(&Total { ignored: 1, ..fine() }, &[]).is_err());
    }
}
