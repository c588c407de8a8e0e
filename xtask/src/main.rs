//! `cargo xtask CHORE`: chores of the project.

use std::process::ExitCode;

use xtask::peers::Peer;
use xtask::{bar, dist, hadolint, suite};

const USAGE: &str = "\
usage: cargo xtask test             set up what the tests need, and run all of them
       cargo xtask peers [NAME…]    build or install peers (all, or those named), and print where they are
       cargo xtask peer-path NAME   the path of one program of a peer, built first if need be
       cargo xtask dist [x86_64|aarch64…]
                                    static programs and wheels for both machines, in target/dist/dist
       cargo xtask bar [NAME…] [--seed N] [--times N] [--short]
                                    measure figures of reliability: each a line of JSON
       cargo xtask hadolint [--mirrors FOLDER]
                                    Corten's rules beside hadolint's, over Dockerfiles of public repositories";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test"] => suite::all(),
        ["peers", names @ ..] => peers(names),
        ["peer-path", name] => Peer::program(name).map(|path| println!("{}", path.display())),
        ["dist", machines @ ..] => dist::all(machines),
        ["bar", words @ ..] => bar::run(words),
        ["hadolint", words @ ..] => hadolint::measure(words),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn peers(names: &[&str]) -> Result<(), String> {
    let mut missing = Vec::new();
    for peer in Peer::named(names)? {
        match peer.install() {
            Ok(programs) => programs.iter().for_each(|path| println!("{}", path.display())),
            Err(why) => missing.push(format!("{}: {why}", peer.name)),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("{} peers are missing:\n  {}", missing.len(), missing.join("\n  ")))
}
