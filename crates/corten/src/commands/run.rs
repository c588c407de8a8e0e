//! `corten run` and `corten exec`.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;

use corten_diagnostic::{Failure, Report};
use corten_flow::World;
use corten_flow::run::{self, Capabilities, ExecOptions, MountOption, NetworkChoice, Options, Outcome, Wanted};

use super::registry_options;
use crate::args;
use crate::render::{error, print, say};

/// Docker's status for what its own side could not do.
const OURS: u8 = 125;

/// Runs an image.
pub fn run(arguments: &args::Run, world: &World<'_>) -> Result<u8, Report> {
    Ok(started(arguments, world).unwrap_or_else(|report| refused(&report)))
}

fn started(arguments: &args::Run, world: &World<'_>) -> Result<u8, Report> {
    let options = options(arguments)?;
    let registry = registry_options(&arguments.registry)?;
    let pull = match arguments.pull {
        args::PullWhen::Missing => run::Pull::Missing,
        args::PullWhen::Always => run::Pull::Always,
        args::PullWhen::Never => run::Pull::Never,
    };
    let platform = arguments.platform.as_deref();
    let wanted = Wanted { image: &arguments.image, pull, platform, options: &options, registry: &registry };
    if !arguments.detach {
        return Ok(ended(run::run(&wanted, world)?, world));
    }
    match run::detach(&wanted, world)? {
        Ok(id) => print(&id).map(|()| 0).map_err(Report::from),
        Err(outcome) => Ok(ended(outcome, world)),
    }
}

/// Starts a further process.
pub fn exec(arguments: &args::Exec, world: &World<'_>) -> Result<u8, Report> {
    let options = ExecOptions {
        arguments: arguments.arguments.clone(),
        environment: variables(&arguments.env).into_iter().collect(),
        folder: arguments.workdir.clone(),
        user: arguments.user.clone(),
        is_interactive: arguments.interactive,
        has_terminal: arguments.tty,
        is_detached: arguments.detach,
    };
    let outcome = terminal(arguments.tty, arguments.interactive)
        .map_err(Report::from)
        .and_then(|()| run::exec(&arguments.container, &options, world));
    Ok(match outcome {
        Ok(outcome) => ended(outcome, world),
        Err(report) => refused(&report),
    })
}

pub(super) fn refused(report: &Report) -> u8 {
    say(&error::error(report));
    OURS
}

/// Tells what there is to tell of an end, and gives the status.
pub(super) fn ended(outcome: Outcome, world: &World<'_>) -> u8 {
    outcome.notes.iter().for_each(|note| world.events.note(note));
    if let Some(why) = outcome.why {
        say(&error::error(&why.into()));
    }
    outcome.status
}

/// As docker: a terminal inside needs one outside to be typed at.
pub(super) fn terminal(tty: bool, interactive: bool) -> Result<(), Failure> {
    match tty && interactive && !std::io::stdin().is_terminal() {
        true => Err(Failure::usage("-t with -i: stdin is no terminal").hint("leave out -t to pipe something in")),
        false => Ok(()),
    }
}

fn options(arguments: &args::Run) -> Result<Options, Failure> {
    if arguments.gpus.is_some() {
        return Err(gpus());
    }
    if arguments.detach && arguments.interactive && !arguments.tty {
        return Err(Failure::usage("-d with -i: nobody could write to its standard input").hint("leave -i out"));
    }
    if !arguments.detach {
        terminal(arguments.tty, arguments.interactive)?;
    }
    let here = std::env::current_dir().map_err(|error| Failure::world(format!("finding this folder: {error}")))?;
    let mut volumes = arguments.volume.iter().map(|text| run::volume(text, &here)).collect::<Result<Vec<_>, _>>()?;
    let mut tmpfs = arguments.tmpfs.iter().map(|text| run::tmpfs(text)).collect::<Result<Vec<_>, _>>()?;
    for text in &arguments.mount {
        match run::mount_option(text, &here)? {
            MountOption::Volume(volume) => volumes.push(volume),
            MountOption::Tmpfs(target, size, mode) => tmpfs.push((target, size, mode)),
        }
    }
    let published = arguments.publish.iter().map(|text| run::published(text)).collect::<Result<Vec<_>, _>>()?;
    let each = arguments.ulimit.iter().map(|text| run::ulimit(text)).collect::<Result<Vec<_>, _>>()?;
    let size = |flag: &str, text: &Option<String>| text.as_deref().map(|text| bytes(flag, text)).transpose();
    Ok(Options {
        arguments: arguments.arguments.clone(),
        entrypoint: arguments.entrypoint.clone(),
        environment: environment(arguments)?,
        volumes,
        tmpfs,
        published: published.into_iter().flatten().collect(),
        folder: arguments.workdir.clone(),
        user: arguments.user.as_deref().map(run::user_option).transpose()?,
        groups: arguments.group_add.clone(),
        name: arguments.name.clone(),
        hostname: arguments.hostname.clone(),
        labels: arguments.label.iter().map(|label| pair(label)).collect(),
        memory: size("--memory", &arguments.memory)?,
        cpu: arguments.cpus.as_deref().map(cpus).transpose()?,
        processes: arguments.pids_limit.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0),
        shm: size("--shm-size", &arguments.shm_size)?,
        each,
        is_read_only: arguments.read_only,
        added: capabilities("--cap-add", &arguments.cap_add)?,
        dropped: capabilities("--cap-drop", &arguments.cap_drop)?,
        may_gain_privileges: may_gain_privileges(&arguments.security_opt)?,
        network: network(arguments.network),
        is_interactive: arguments.interactive,
        has_terminal: arguments.tty,
        is_removed: arguments.rm,
        stop_signal: arguments.stop_signal.clone(),
    })
}

/// Which network.
pub(super) fn network(choice: args::Network) -> NetworkChoice {
    match choice {
        args::Network::Default => NetworkChoice::Usual,
        args::Network::Own => NetworkChoice::Own,
        args::Network::Host => NetworkChoice::Host,
        args::Network::None => NetworkChoice::None,
    }
}

fn gpus() -> Failure {
    match Path::new("/dev/nvidiactl").exists() {
        true => Failure::world("--gpus: this version gives containers no graphics processors")
            .hint("docker run --gpus does, with the image that `corten push` or `corten save` gives it"),
        false => Failure::world("--gpus: this machine has no NVIDIA driver (there is no /dev/nvidiactl)")
            .hint("without --gpus the image runs on the processor"),
    }
}

fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

/// `NAME=VALUE`; a name alone is taken from our own environment, or left out where it is not set.
pub(super) fn variables(texts: &[String]) -> BTreeMap<String, String> {
    let variable = |text: &String| match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((text.clone(), std::env::var(text).ok()?)),
    };
    texts.iter().filter_map(variable).filter(|(name, _)| !name.is_empty()).collect()
}

fn environment(arguments: &args::Run) -> Result<BTreeMap<String, String>, Failure> {
    let mut environment = BTreeMap::new();
    for file in &arguments.env_file {
        let path = Path::new(file);
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("reading --env-file {file}: {error}")))?;
        environment.extend(run::environment_file(path, &text, &|name| std::env::var(name).ok())?);
    }
    environment.extend(variables(&arguments.env));
    Ok(environment)
}

fn bytes(flag: &str, text: &str) -> Result<u64, Failure> {
    let size = run::memory(text).filter(|size| *size >= 6 << 20 || flag != "--memory");
    size.ok_or_else(|| {
        Failure::usage(format!("{flag} '{text}': a size such as 512m or 4g is expected, memory of 6m at least"))
    })
}

fn cpus(text: &str) -> Result<u64, Failure> {
    let wrong = || Failure::usage(format!("--cpus '{text}': a number such as 2 or 0.5 is expected, 0.01 at least"));
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let digits: String = part.chars().chain("000".chars()).take(3).collect();
    let part: u64 = digits.parse().map_err(|_| wrong())?;
    whole.checked_mul(1000).and_then(|whole| whole.checked_add(part)).filter(|cpu| *cpu >= 10).ok_or_else(wrong)
}

fn capabilities(flag: &str, names: &[String]) -> Result<Vec<Capabilities>, Failure> {
    let one = |name: &String| {
        Capabilities::named(name).ok_or_else(|| {
            Failure::usage(format!("{flag} '{}': there is no such capability", name.escape_debug()))
                .hint("for instance NET_ADMIN, SYS_PTRACE, ALL: see capabilities(7)")
        })
    };
    names.iter().map(one).collect()
}

fn may_gain_privileges(options: &[String]) -> Result<bool, Failure> {
    let mut may = false;
    for option in options {
        may = match option.replace(':', "=").as_str() {
            "no-new-privileges" | "no-new-privileges=true" => false,
            "no-new-privileges=false" => true,
            _ => {
                return Err(Failure::usage(format!("--security-opt '{}' is not possible", option.escape_debug()))
                    .hint("no-new-privileges=true|false is; the filter of system calls stays"));
            }
        };
    }
    Ok(may)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted_in_thousandths() {
        assert_eq!(["2", "0.5", "1.25", "0.0101"].map(|text| cpus(text).unwrap()), [2000, 500, 1250, 10]);
        for bad in ["0", "0.001", "x", "-1", "1.x", ""] {
            assert!(cpus(bad).is_err(), "{bad}");
        }
    }
}
