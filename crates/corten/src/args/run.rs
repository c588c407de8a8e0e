//! What is said of containers: docker's words for docker's things.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

use crate::args::RegistryArguments;

/// `corten run`.
///
/// Options come before the image; what comes after it is the command's. Here -v is --volume, not --verbose.
///
/// The container has a network of its own where pasta (Debian's package passt) is installed, else the host's. Its process has no
/// new privileges, docker's capabilities less those of other users than root, and a filter of system calls. Its pid 1 is Corten's,
/// which passes signals on and reaps what is left (--init is always so). Three Ctrl-C end it whatever it does.
#[derive(Debug, Args)]
pub struct Run {
    /// Name, digest, or the beginning of the digest of an image.
    pub image: String,
    /// Instead of the image's command.
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub arguments: Vec<String>,
    /// Remove the container, with volumes of its own, when it ends.
    #[arg(long)]
    pub rm: bool,
    /// Keep stdin open to the process.
    #[arg(long, short)]
    pub interactive: bool,
    /// Give it a terminal.
    #[arg(long, short)]
    pub tty: bool,
    /// Let it go on by itself; print its id.
    #[arg(long, short)]
    pub detach: bool,
    /// Set a variable; a name alone takes the value from here (may be given several times).
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Set the variables of a file with lines NAME=VALUE (may be given several times).
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<String>,
    /// Mount a path of the host, or a volume by its name (may be given several times; -v for short).
    #[arg(long, value_name = "SOURCE:TARGET[:ro]")]
    pub volume: Vec<String>,
    /// Mount, in words: type=bind|volume|tmpfs,source=…,target=…[,readonly] (may be given several times).
    #[arg(long, value_name = "KEY=VALUE,…")]
    pub mount: Vec<String>,
    /// Mount a folder in memory (may be given several times).
    #[arg(long, value_name = "TARGET[:size=64m,mode=1777]")]
    pub tmpfs: Vec<String>,
    /// Let connections to a port of the host in; without an address only those from this machine (may be given several times).
    #[arg(long, short, value_name = "[ADDRESS:]HOST:CONTAINER[/udp]")]
    pub publish: Vec<String>,
    /// Which network.
    #[arg(long, alias = "net", value_enum, default_value_t)]
    pub network: Network,
    /// Start in this folder.
    #[arg(long, short, value_name = "FOLDER")]
    pub workdir: Option<String>,
    /// Run as this user, by name or number.
    #[arg(long, short, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Give it another group, too (may be given several times).
    #[arg(long, value_name = "GROUP")]
    pub group_add: Vec<String>,
    /// Instead of the image's entry point; "" takes it away.
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<String>,
    /// Name the container.
    #[arg(long)]
    pub name: Option<String>,
    /// The host name inside.
    #[arg(long)]
    pub hostname: Option<String>,
    /// Set a label (may be given several times).
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    pub label: Vec<String>,
    /// Memory of all processes together, for instance 4g.
    #[arg(long, short, value_name = "SIZE")]
    pub memory: Option<String>,
    /// Processor time, in processors, for instance 1.5.
    #[arg(long, value_name = "NUMBER")]
    pub cpus: Option<String>,
    /// Processes and threads at the same time.
    #[arg(long, value_name = "NUMBER")]
    pub pids_limit: Option<i64>,
    /// Size of /dev/shm, where data loaders share batches [default: 1g, or half of --memory].
    #[arg(long, value_name = "SIZE")]
    pub shm_size: Option<String>,
    /// Limit each process, for instance nofile=65536:65536 (may be given several times).
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub ulimit: Vec<String>,
    /// Let nothing of the image be changed.
    #[arg(long)]
    pub read_only: bool,
    /// Give root a capability more, or ALL (may be given several times).
    #[arg(long, value_name = "CAPABILITY")]
    pub cap_add: Vec<String>,
    /// Take a capability away, or ALL (may be given several times).
    #[arg(long, value_name = "CAPABILITY")]
    pub cap_drop: Vec<String>,
    /// no-new-privileges=false lets sudo work inside (may be given several times).
    #[arg(long, value_name = "OPTION")]
    pub security_opt: Vec<String>,
    /// Run a pid 1 that reaps: always so.
    #[arg(long)]
    pub init: bool,
    /// What `corten stop` sends [default: the image's, else SIGTERM].
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<String>,
    /// Pull the image.
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub pull: PullWhen,
    /// The platform that is expected; only this machine's can run.
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    pub platform: Option<String>,
    /// Give it graphics processors (not in this version).
    #[arg(long, value_name = "GPUS")]
    pub gpus: Option<String>,
    #[command(flatten)]
    pub registry: RegistryArguments,
}

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Network {
    /// Its own where pasta is installed, else the host's.
    #[default]
    Default,
    /// Its own.
    #[value(alias = "bridge", alias = "pasta")]
    Own,
    /// The host's.
    Host,
    /// None.
    None,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum PullWhen {
    /// When the store does not have it.
    #[default]
    Missing,
    /// Each time.
    Always,
    /// Not at all.
    Never,
}

/// `corten exec`.
#[derive(Debug, Args)]
pub struct Exec {
    /// Name or id of a container that runs.
    pub container: String,
    /// The program and its arguments.
    #[arg(trailing_var_arg = true, required = true, value_name = "COMMAND")]
    pub arguments: Vec<String>,
    /// Keep stdin open to the process.
    #[arg(long, short)]
    pub interactive: bool,
    /// Give it a terminal.
    #[arg(long, short)]
    pub tty: bool,
    /// Let it go on by itself.
    #[arg(long, short)]
    pub detach: bool,
    /// Set a variable (may be given several times).
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Start in this folder.
    #[arg(long, short, value_name = "FOLDER")]
    pub workdir: Option<String>,
    /// Run as this user, by name or number.
    #[arg(long, short, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
}

/// `corten ps`.
#[derive(Debug, Args)]
pub struct Ps {
    /// Those that have ended, too.
    #[arg(long, short)]
    pub all: bool,
}

/// `corten logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// Name or id of a container.
    pub container: String,
    /// Go on while it runs.
    #[arg(long, short)]
    pub follow: bool,
    /// Only the last lines.
    #[arg(long, short = 'n', value_name = "LINES")]
    pub tail: Option<usize>,
}

/// `corten stop`.
#[derive(Debug, Args)]
pub struct Stop {
    /// Names or ids of containers.
    #[arg(required = true, value_name = "CONTAINER")]
    pub containers: Vec<String>,
    /// Seconds until it is killed.
    #[arg(long = "timeout", short = 't', alias = "time", default_value_t = 10, value_name = "SECONDS")]
    pub timeout: u64,
}

/// `corten rm`.
#[derive(Debug, Args)]
pub struct Rm {
    /// Names or ids of containers.
    #[arg(required = true, value_name = "CONTAINER")]
    pub containers: Vec<String>,
    /// Kill those that run.
    #[arg(long, short)]
    pub force: bool,
    /// Remove their own volumes, too.
    #[arg(long)]
    pub volumes: bool,
}

/// The command line with docker's `-v` of `run` in full: everywhere else it is --verbose.
///
/// Which options take a value is asked of the command line's own description, once that is built. Where `run` is not in it,
/// no word says so.
pub fn with_volumes(arguments: Vec<OsString>, command: &clap::Command) -> Vec<OsString> {
    let mut rest = arguments.into_iter();
    let mut all: Vec<OsString> = rest.next().into_iter().collect();
    // Global options may come before the command.
    let is_run = copy_options(&mut rest, &mut all, command, |word| word == "run").is_some();
    if let Some(run) = command.find_subcommand("run").filter(|_| is_run) {
        let is_said = copy_options(&mut rest, &mut all, run, |_| true).is_some();
        // Of what follows the image nothing is an option of ours.
        if is_said && all.last().is_some_and(|last| last != "--") {
            all.push("--".into());
        }
    }
    all.extend(rest);
    all
}

/// Copies options, and the first word that is none, until `is_last` says so of it; `None` where that is not said.
fn copy_options(
    rest: &mut impl Iterator<Item = OsString>,
    all: &mut Vec<OsString>,
    command: &clap::Command,
    is_last: impl Fn(&str) -> bool,
) -> Option<()> {
    let is_run = command.get_name() == "run";
    while let Some(argument) = rest.next() {
        let text = argument.to_str().unwrap_or_default().to_owned();
        if text == "--" || !text.starts_with('-') || text == "-" {
            all.push(argument);
            return is_last(&text).then_some(());
        }
        let takes = if text.starts_with("--") {
            all.push(argument);
            let long = text.trim_start_matches('-');
            !long.contains('=') && command.get_arguments().any(|one| one.get_long() == Some(long) && takes_value(one))
        } else {
            short(&text, command, is_run, all)
        };
        match (takes.then(|| rest.next()).flatten(), all.last_mut()) {
            // What looks like an option is the value, as docker reads it.
            (Some(value), Some(option)) if value.as_encoded_bytes().starts_with(b"-") => {
                option.push("=");
                option.push(value);
            }
            (value, _) => all.extend(value),
        }
    }
    None
}

/// A word of short options; says whether the next word is a value.
fn short(text: &str, command: &clap::Command, is_run: bool, all: &mut Vec<OsString>) -> bool {
    let letters = text.get(1..).unwrap_or_default();
    for (at, letter) in letters.char_indices() {
        let after = letters.get(at + letter.len_utf8()..).unwrap_or_default();
        if letter == 'v' && is_run {
            if at > 0 {
                all.push(format!("-{}", letters.get(..at).unwrap_or_default()).into());
            }
            let value = after.strip_prefix('=').unwrap_or(after);
            all.push(if value.is_empty() { "--volume".into() } else { format!("--volume={value}").into() });
            return value.is_empty();
        }
        if command.get_arguments().any(|one| one.get_short() == Some(letter) && takes_value(one)) {
            all.push(text.into());
            return after.is_empty();
        }
    }
    all.push(text.into());
    false
}

fn takes_value(argument: &clap::Arg) -> bool {
    argument.get_action().takes_values()
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;
    use crate::args::{Arguments, Command};

    fn parse(line: &str) -> Arguments {
        let words = line.split(' ').map(OsString::from).collect();
        Arguments::from_arg_matches(&crate::args::parse(words).unwrap()).unwrap()
    }

    #[test]
    fn v_is_a_volume_of_run_alone() {
        for line in [
            "corten --home /x run --rm -v a:/b -itv c:/d -v=e:/f -vg:/h --name v -e -v image -v x",
            "corten run --rm -v a:/b -it -v c:/d --volume e:/f -v g:/h --name=v -e=-v image -v x",
        ] {
            let arguments = parse(line);
            assert!(!arguments.global.verbose, "{line}");
            let Command::Run(run) = arguments.command else { panic!() };
            assert_eq!(run.volume, ["a:/b", "c:/d", "e:/f", "g:/h"], "{line}");
            assert!(run.interactive && run.tty && run.rm);
            assert_eq!((run.image.as_str(), run.arguments), ("image", vec!["-v".into(), "x".into()]));
        }
        assert!(parse("corten ps -v").global.verbose);
        assert!(parse("corten -v run image").global.verbose);
    }
}
