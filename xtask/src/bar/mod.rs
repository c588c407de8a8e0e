//! `cargo xtask bar R6`: one figure of reliability, measured whole, as one line of JSON.
//!
//! A bar is a test. In the test suite it runs in its short form; here it runs in full, optimised where times are its
//! subject, and with the seed that one asks for. So what the tests check each day and what the documentation claims
//! cannot drift apart. A test takes its length and its seed from `corten_testkit::bar`, and says its figure there.
//!
//! A new bar: a line in [`BARS`], a test of that name which begins with `Bar::begin("R…")`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::shell::cargo;

/// Which bar a test is to be, and that it is to run whole. The tests read these.
pub const WHOLE: &str = "CORTEN_BAR";
/// How often at most, a decimal number.
pub const TIMES: &str = "CORTEN_BAR_TIMES";
/// The seed of a bar, a decimal number.
pub const SEED: &str = "CORTEN_TEST_SEED";
/// What a test's line begins with, before the JSON.
pub const PREFIX: &str = "bar: ";

/// A figure that can be measured.
#[derive(Debug, Clone, Copy)]
pub struct Bar {
    /// As the scorecard calls it.
    pub name: &'static str,
    /// What is measured.
    pub what: &'static str,
    /// What must come out.
    pub target: &'static str,
    /// The crate whose test it is.
    pub package: &'static str,
    /// The test binary.
    pub binary: &'static str,
    /// The test.
    pub test: &'static str,
    /// Does it measure time, so that it must be optimised?
    pub is_timed: bool,
}

/// Every bar.
pub const BARS: &[Bar] = &[
    Bar {
        name: "R1",
        what: "a build and push is killed at 1,000 random moments: clean, next run the same, nothing left behind",
        target: "all clean",
        package: "corten",
        binary: "cli",
        test: "bars::kills::r1_killed_at_random_while_building_and_pushing",
        is_timed: false,
    },
    Bar {
        name: "R2",
        what: "killed before each call that changes something",
        target: "0 violations",
        package: "corten",
        binary: "cli",
        test: "bars::kills::r2_killed_before_each_call_that_changes_something",
        is_timed: false,
    },
    Bar {
        name: "R3",
        what: "500 power cuts, 450 on ext4 and 50 on xfs: acknowledged images lost, torn files unseen, stores not healed",
        target: "0 of each",
        package: "corten",
        binary: "cli",
        test: "bars::cuts::r3_the_power_is_cut",
        is_timed: false,
    },
    Bar {
        name: "R1b",
        what: "a Dockerfile's build of 15 steps is killed at 500 random moments: clean, the next build the same, nothing left behind",
        target: "0 wrong",
        package: "corten",
        binary: "cli",
        test: "bars::steps::r1b_a_build_of_many_steps_is_killed_at_random",
        is_timed: false,
    },
    Bar {
        name: "R2b",
        what: "a Dockerfile's build of 15 steps is killed before each call that changes something",
        target: "0 wrong",
        package: "corten",
        binary: "cli",
        test: "bars::steps::r2b_a_build_of_many_steps_is_killed_before_each_call_that_changes_something",
        is_timed: false,
    },
    Bar {
        name: "R3b",
        what: "200 power cuts in a Dockerfile's build of 15 steps: acknowledged images lost, files torn, stores not healed",
        target: "0 wrong",
        package: "corten",
        binary: "cli",
        test: "bars::steps::r3b_the_power_is_cut_in_a_build_of_many_steps",
        is_timed: false,
    },
    Bar {
        name: "R4",
        what: "a build of 1 GB with syncs as they are, beside one whose syncs do nothing: what durability costs",
        target: "at most 10 % of the wall time",
        package: "corten",
        binary: "cli",
        test: "bars::durability::r4_what_durability_costs",
        is_timed: true,
    },
    Bar {
        name: "R5",
        what: "no space left at 42 points (blocks, files, n-th write): told, clean, freed, goes on",
        target: "all clean",
        package: "corten",
        binary: "cli",
        test: "bars::full::r5_no_space_left",
        is_timed: false,
    },
    Bar {
        name: "R11",
        what: "30 faults of registries while something is resolved, pulled and pushed: done, or told by name",
        target: "90 of 90, nothing wrong kept, at most a piece sent again",
        package: "corten",
        binary: "cli",
        test: "bars::faults::r11_thirty_faults",
        is_timed: false,
    },
    Bar {
        name: "R12",
        what: "pushes that are cut after any request or byte: registries with a manifest that lacks a blob",
        target: "0 of 500, and all completed by the next push",
        package: "corten-registry",
        binary: "registry",
        test: "interrupted::r12_pushes_that_are_cut_leave_nothing_torn_and_the_next_completes_them",
        is_timed: false,
    },
    Bar {
        name: "R23",
        what: "recipes C1 to C13: tokens and bytes of blobs that went to others, requests to private addresses",
        target: "0 in 25 cases",
        package: "corten-registry",
        binary: "registry",
        test: "attacks::r23_credentials_stay",
        is_timed: false,
    },
    Bar {
        name: "R6",
        what: "each sync of a build and push fails with EIO in turn: false successes",
        target: "0 of all",
        package: "corten",
        binary: "cli",
        test: "bars::syncs::r6_each_sync_fails",
        is_timed: false,
    },
    Bar {
        name: "R13",
        what: "a registry is killed 200 times and its power cut 100 times under 8 writers: names torn or lost",
        target: "0 wrong",
        package: "corten",
        binary: "cli",
        test: "bars::served::r13_a_registry_is_killed_under_its_writers",
        is_timed: false,
    },
    Bar {
        name: "R7",
        what: "1,000 files damaged in six ways: not found, served, not mended",
        target: "0 of each",
        package: "corten",
        binary: "cli",
        test: "bars::damage::r7_any_file_is_damaged",
        is_timed: false,
    },
    Bar {
        name: "R9",
        what: "300 signals (INT, TERM, HUP; to the process, to its group) to `corten run`: status, time, what is left",
        target: "the signal's status in at most 2 s each, 0 left",
        package: "corten",
        binary: "cli",
        test: "containers::r9_signals_end_it_with_their_status_and_leave_nothing",
        is_timed: false,
    },
    Bar {
        name: "R9b",
        what: "a RUN is killed (-9) and interrupted at 80 calls each, and short of space 20 times: what is left, next builds that differ",
        target: "0",
        package: "corten",
        binary: "cli",
        test: "bars::moments::r9b_a_run_that_is_disturbed_at_any_moment_leaves_nothing",
        is_timed: false,
    },
    Bar {
        name: "R10",
        what: "files, names and leases that are left after `prune --all`, whatever was done before",
        target: "0",
        package: "corten",
        binary: "cli",
        test: "prune::r10_prune_all_leaves_nothing",
        is_timed: false,
    },
    Bar {
        name: "R15",
        what: "hostile archives (34 of containerd, 20 of traversal, own) and Dockerfiles, as root and nobody: changes outside",
        target: "0, and refused what is to be refused",
        package: "corten",
        binary: "cli",
        test: "bars::archives::r15_nothing_outside_changes_whatever_an_archive_or_a_dockerfile_says",
        is_timed: false,
    },
    Bar {
        name: "R16",
        what: "folders are exchanged for links, 100,000 times a race, in 7 races, as root and nobody: changes outside",
        target: "0",
        package: "corten",
        binary: "cli",
        test: "bars::races::r16_who_exchanges_folders_for_links_reaches_nothing",
        is_timed: false,
    },
    Bar {
        name: "R20",
        what: "what a process inside RUN and run has and sees, and recipes that try to get out, as root and nobody",
        target: "0 wrong",
        package: "corten",
        binary: "cli",
        test: "bars::escapes::r20_what_is_inside_sees_and_changes_nothing_outside",
        is_timed: false,
    },
    Bar {
        name: "R22",
        what: "a build's secret in 14 spellings in all that it leaves and says, after success, failure, kill and timeout",
        target: "0 hits",
        package: "corten",
        binary: "cli",
        test: "bars::secrets::r22_a_secret_is_in_nothing_that_a_build_leaves_or_says",
        is_timed: false,
    },
    Bar {
        name: "R8",
        what: "8 builds and pushes at once beside prunes for 3 minutes: failures",
        target: "0 failures",
        package: "corten",
        binary: "cli",
        test: "bars::crowd::r8_builds_beside_prunes_and_pushes",
        is_timed: false,
    },
    Bar {
        name: "life",
        what: "200 builds, pulls, prunes, kills at random by 8 processes: steps that went wrong",
        target: "0 of all",
        package: "corten",
        binary: "cli",
        test: "bars::crowd::a_life_of_builds_pulls_prunes_and_kills",
        is_timed: false,
    },
];

/// How a bar is run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// The run to repeat.
    pub seed: Option<u64>,
    /// How often at most, where not as often as the scorecard says.
    pub times: Option<u64>,
    /// As the test suite runs it.
    pub is_short: bool,
}

/// Runs `bar R1 R6 --seed 7 --short`; all bars where none is named. Each prints its line on standard output.
///
/// # Errors
/// Words that are none of these, and bars that are missed.
pub fn run(words: &[&str]) -> Result<(), String> {
    let (names, options) = read(words)?;
    let chosen = named(&names)?;
    let mut missed = Vec::new();
    for bar in chosen {
        match measure(bar, options) {
            Ok(figure) => {
                println!("{figure}");
                if figure["met"] != json!(true) {
                    missed.push(format!("{}: {} is not {}", bar.name, figure["value"], bar.target));
                }
            }
            Err(why) => missed.push(format!("{}: {why}", bar.name)),
        }
    }
    if missed.is_empty() { Ok(()) } else { Err(missed.join("\n  ")) }
}

fn read<'a>(words: &[&'a str]) -> Result<(Vec<&'a str>, Options), String> {
    let (mut names, mut options) = (Vec::new(), Options::default());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--short" => options.is_short = true,
            "--seed" => {
                let seed = words.next().and_then(|seed| seed.parse().ok());
                options.seed = Some(seed.ok_or("--seed wants a decimal number")?);
            }
            "--times" => {
                let times = words.next().and_then(|times| times.parse().ok());
                options.times = Some(times.ok_or("--times wants a decimal number")?);
            }
            flag if flag.starts_with('-') => {
                return Err(format!("'{flag}' is no flag of `bar`: --seed N, --times N, --short"));
            }
            name => names.push(name),
        }
    }
    Ok((names, options))
}

fn named(names: &[&str]) -> Result<Vec<&'static Bar>, String> {
    if names.is_empty() {
        return Ok(BARS.iter().collect());
    }
    names.iter().map(|name| by_name(name)).collect()
}

fn by_name(name: &str) -> Result<&'static Bar, String> {
    BARS.iter().find(|bar| bar.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
        let known: Vec<_> = BARS.iter().map(|bar| format!("{} ({})", bar.name, bar.what)).collect();
        format!("there is no bar '{name}'; there are:\n  {}", known.join("\n  "))
    })
}

/// Runs the bar's test, and takes the line that it says.
fn measure(bar: &Bar, options: Options) -> Result<Value, String> {
    let start = Instant::now();
    let mut command = cargo();
    command.args(["test", "--quiet", "--locked", "--package", bar.package, "--test", bar.binary]);
    if bar.is_timed && !options.is_short {
        command.arg("--release");
    }
    command.args(["--", "--exact", bar.test, "--nocapture", "--test-threads=1"]);
    if !options.is_short {
        command.env(WHOLE, bar.name);
    }
    if let Some(seed) = options.seed {
        command.env(SEED, seed.to_string());
    }
    if let Some(times) = options.times {
        command.env(TIMES, times.to_string());
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let child = child.as_mut().map_err(|error| format!("cannot start cargo test: {error}"))?;
    let mut said = None;
    for line in child.stdout.take().into_iter().flat_map(|output| BufReader::new(output).lines()) {
        let line = line.map_err(|error| format!("cannot read what the test says: {error}"))?;
        match line.split_once(PREFIX) {
            Some((_, text)) => said = Some(text.to_owned()),
            None => eprintln!("{line}"),
        }
    }
    let status = child.wait().map_err(|error| format!("cannot wait for the test: {error}"))?;
    let said = said.ok_or_else(|| format!("its test {} said no figure ({status})", bar.test))?;
    let said: Map<String, Value> = serde_json::from_str(&said).map_err(|error| format!("'{said}': {error}"))?;
    let mut figure =
        json!({ "bar": bar.name, "target": bar.target, "met": status.success(), "short": options.is_short });
    if let Some(figure) = figure.as_object_mut() {
        figure.extend(said);
        figure.entry("seconds").or_insert_with(|| json!(start.elapsed().as_secs_f64()));
    }
    Ok(figure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_names_and_flags() {
        let (names, options) = read(&["R6", "--seed", "7", "--short"]).unwrap();
        assert_eq!((names.as_slice(), options.seed, options.is_short), (["R6"].as_slice(), Some(7), true));
        assert_eq!(read(&["--seed", "x"]).unwrap_err(), "--seed wants a decimal number");
        assert_eq!(read(&["--long"]).unwrap_err(), "'--long' is no flag of `bar`: --seed N, --times N, --short");
        assert!(named(&["R6000"]).unwrap_err().starts_with("there is no bar 'R6000'; there are:\n  R"));
        assert_eq!(named(&["r6"]).unwrap()[0].name, "R6");
    }

    #[test]
    fn each_bar_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = BARS.iter().map(|bar| bar.name).collect();
        assert_eq!(names.len(), BARS.len());
    }
}
