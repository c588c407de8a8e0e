//! What may be said about a container, and the texts that docker's users write it in.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use corten_diagnostic::Failure;
use corten_plan::recipe::memory;
use corten_sandbox::{Capabilities, EachLimit, Port};

/// What is asked for, besides the image.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Instead of the image's command.
    pub arguments: Vec<String>,
    /// Instead of the image's entry point; an empty text takes it away.
    pub entrypoint: Option<String>,
    /// Variables, over those of the image.
    pub environment: BTreeMap<String, String>,
    /// Binds and volumes.
    pub volumes: Vec<VolumeOption>,
    /// Folders in memory.
    pub tmpfs: Vec<(PathBuf, Option<u64>, u32)>,
    /// Ports.
    pub published: Vec<Published>,
    /// Instead of the image's.
    pub folder: Option<String>,
    /// Instead of the image's.
    pub user: Option<String>,
    /// Groups besides.
    pub groups: Vec<String>,
    /// The container's name.
    pub name: Option<String>,
    /// Its host name.
    pub hostname: Option<String>,
    /// Free text by key.
    pub labels: BTreeMap<String, String>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Thousandths of a processor.
    pub cpu: Option<u64>,
    /// Processes at the same time.
    pub processes: Option<u64>,
    /// Bytes of `/dev/shm`.
    pub shm: Option<u64>,
    /// Limits of each process.
    pub each: Vec<EachLimit>,
    /// Nothing of the image can be changed.
    pub is_read_only: bool,
    /// Capabilities besides the usual.
    pub added: Vec<Capabilities>,
    /// Usual capabilities that it does not get.
    pub dropped: Vec<Capabilities>,
    /// Programs with setuid may give privileges.
    pub may_gain_privileges: bool,
    /// Which network.
    pub network: NetworkChoice,
    /// Its stdin is open.
    pub is_interactive: bool,
    /// It has a terminal.
    pub has_terminal: bool,
    /// Remove it when it ends.
    pub is_removed: bool,
    /// Instead of the image's.
    pub stop_signal: Option<String>,
}

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NetworkChoice {
    /// Its own where pasta is there, else the host's.
    #[default]
    Usual,
    /// Its own, by pasta.
    Own,
    /// The host's.
    Host,
    /// None.
    None,
}

/// A folder or file that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeOption {
    /// Of what.
    pub source: VolumeSource,
    /// Inside.
    pub target: PathBuf,
    /// Nothing of it can be changed.
    pub is_read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeSource {
    /// A path of the host; made as a folder where it is missing, if that is so.
    Path(PathBuf, bool),
    /// A volume by name.
    Name(String),
    /// A volume of this container alone.
    Anonymous,
}

/// A port of the container that is reached from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published(pub Port);

fn wrong(flag: &str, text: &str, why: &str) -> Failure {
    Failure::usage(format!("{flag} '{text}': {why}"))
}

/// `-v`: `SOURCE:TARGET[:ro]`, `NAME:TARGET[:ro]`, `TARGET`; relative sources are of `folder`.
///
/// # Errors
/// Usage.
pub fn volume(text: &str, folder: &Path) -> Result<VolumeOption, Failure> {
    let refuse =
        |why: &str| wrong("-v", text, why).hint("SOURCE:TARGET[:ro], where SOURCE is a path or a volume's name");
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [target] => (None, target, ""),
        [source, target] => (Some(source), target, ""),
        [source, target, options] => (Some(source), target, options),
        _ => return Err(refuse("it has too many colons")),
    };
    let mut is_read_only = false;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" | "readonly" => is_read_only = true,
            // Labels of SELinux and how mounts propagate: nothing to do here.
            "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" | "private" | "rprivate" => {}
            _ => return Err(refuse(&format!("'{option}' is not possible; ro and rw are"))),
        }
    }
    let source = match source {
        None => VolumeSource::Anonymous,
        Some("") => return Err(refuse("the source is empty")),
        Some(path) if path.starts_with(['/', '.', '~']) => VolumeSource::Path(folder.join(path), true),
        Some(name) => VolumeSource::Name(volume_name(name).ok_or_else(|| refuse(BAD_NAME))?),
    };
    Ok(VolumeOption { source, target: target_path(target).ok_or_else(|| refuse(BAD_TARGET))?, is_read_only })
}

const BAD_NAME: &str = "a volume's name has letters, digits, '_', '.' and '-'; a path begins with / or ./";
const BAD_TARGET: &str = "the target is an absolute path without .., and not /";

/// As docker's.
fn volume_name(name: &str) -> Option<String> {
    let is_good = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    let first = name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    (first && name.len() <= 255 && name.as_bytes().iter().all(is_good)).then(|| name.to_owned())
}

fn target_path(text: &str) -> Option<PathBuf> {
    let path = Path::new(text);
    let is_plain = path.components().skip(1).all(|part| matches!(part, std::path::Component::Normal(_)));
    (path.is_absolute() && is_plain && path != Path::new("/")).then(|| path.components().collect())
}

/// What `--mount` says: a bind, a volume or memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountOption {
    /// A bind or a volume.
    Volume(VolumeOption),
    /// A folder in memory: target, bytes, mode.
    Tmpfs(PathBuf, Option<u64>, u32),
}

/// `--mount`: `type=bind|volume|tmpfs,source=…,target=…[,readonly]`.
///
/// # Errors
/// Usage.
pub fn mount_option(text: &str, folder: &Path) -> Result<MountOption, Failure> {
    let refuse =
        |why: &str| wrong("--mount", text, why).hint("type=bind|volume|tmpfs,source=SOURCE,target=TARGET[,readonly]");
    let mut fields = BTreeMap::new();
    for field in text.split(',') {
        let (key, value) = field.split_once('=').unwrap_or((field, "true"));
        let key = match key.to_ascii_lowercase().as_str() {
            "src" | "source" => "source",
            "dst" | "destination" | "target" => "target",
            "ro" | "readonly" => "readonly",
            "type" => "type",
            "tmpfs-size" => "size",
            "tmpfs-mode" => "mode",
            // So they are anyway: each container has its own mounts, and there is no cache between.
            "consistency" => continue,
            "bind-propagation" if ["private", "rprivate"].contains(&value) => continue,
            _ => return Err(refuse(&format!("'{key}' is not possible"))),
        };
        fields.insert(key, value);
    }
    let target = fields.get("target").copied().and_then(target_path).ok_or_else(|| refuse(BAD_TARGET))?;
    let is_read_only = match fields.get("readonly").copied() {
        None | Some("false" | "0") => false,
        Some("true" | "1") => true,
        Some(_) => return Err(refuse("readonly is true or false")),
    };
    let is_tmpfs = fields.get("type").copied() == Some("tmpfs");
    if !is_tmpfs && (fields.contains_key("size") || fields.contains_key("mode")) {
        return Err(refuse("tmpfs-size and tmpfs-mode are of type=tmpfs"));
    }
    let source = match (fields.get("type").copied().unwrap_or("volume"), fields.get("source").copied()) {
        ("bind", Some(path)) if !path.is_empty() => VolumeSource::Path(folder.join(path), false),
        ("bind", _) => return Err(refuse("a bind needs a source")),
        ("volume", None) => VolumeSource::Anonymous,
        ("volume", Some(name)) => VolumeSource::Name(volume_name(name).ok_or_else(|| refuse(BAD_NAME))?),
        ("tmpfs", None) => {
            let bytes = fields.get("size").map(|text| memory(text).ok_or_else(|| refuse("tmpfs-size is no size")));
            let mode = fields.get("mode").map(|text| mode(text).ok_or_else(|| refuse("tmpfs-mode is no mode")));
            return Ok(MountOption::Tmpfs(target, bytes.transpose()?, mode.transpose()?.unwrap_or(0o1777)));
        }
        ("tmpfs", Some(_)) => return Err(refuse("a tmpfs has no source")),
        (kind, _) => return Err(refuse(&format!("the type '{kind}' is not possible"))),
    };
    Ok(MountOption::Volume(VolumeOption { source, target, is_read_only }))
}

/// `--tmpfs`: `TARGET[:size=64m,mode=1777,…]`.
///
/// # Errors
/// Usage.
pub fn tmpfs(text: &str) -> Result<(PathBuf, Option<u64>, u32), Failure> {
    let refuse = |why: &str| wrong("--tmpfs", text, why).hint("TARGET[:size=64m,mode=1777]");
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let (mut bytes, mut bits) = (None, 0o1777);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("size", value)) => bytes = Some(memory(value).ok_or_else(|| refuse("size is no size"))?),
            Some(("mode", value)) => bits = mode(value).ok_or_else(|| refuse("mode is no mode"))?,
            // So it is anyway.
            None if ["rw", "exec", "nosuid", "nodev", "relatime"].contains(&option) => {}
            _ => return Err(refuse(&format!("'{option}' is not possible; size and mode are"))),
        }
    }
    Ok((target_path(target).ok_or_else(|| refuse(BAD_TARGET))?, bytes, bits))
}

fn mode(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777)
}

/// `-p`: `[ADDRESS:]HOST:CONTAINER[/udp]`, ranges of equal length too. Without an address it is 127.0.0.1 (E20).
///
/// # Errors
/// Usage.
pub fn published(text: &str) -> Result<Vec<Published>, Failure> {
    let refuse =
        |why: &str| wrong("-p", text, why).hint("[ADDRESS:]HOST:CONTAINER[/udp]; without an address it is 127.0.0.1");
    let (ports, protocol) = text.rsplit_once('/').unwrap_or((text, "tcp"));
    let is_udp = match protocol {
        "tcp" => false,
        "udp" => true,
        _ => return Err(refuse("the protocol is tcp or udp")),
    };
    let (before, inside) = ports.rsplit_once(':').unwrap_or((ports, ports));
    let (address, host) = match before.rsplit_once(':') {
        Some((address, host)) => (Some(address), host),
        None => (None, before),
    };
    let address = match address {
        None => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some(text) => {
            let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
            text.parse().map_err(|_| refuse("the address is none"))?
        }
    };
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
        let (first, last) = (port(first)?, port(last)?);
        (first <= last).then_some(first..=last)
    };
    let bad = || refuse("a port is a number from 1 to 65535");
    let (host, inside) = (range(host).ok_or_else(bad)?, range(inside).ok_or_else(bad)?);
    if host.clone().count() != inside.clone().count() {
        return Err(refuse("the ranges have different lengths"));
    }
    Ok(host.zip(inside).map(|(host, inside)| Published(Port { address, host, inside, is_udp })).collect())
}

/// `--ulimit`: `NAME=SOFT[:HARD]`; −1 is none.
///
/// # Errors
/// Usage.
pub fn ulimit(text: &str) -> Result<EachLimit, Failure> {
    let refuse = |why: &str| wrong("--ulimit", text, why).hint("nofile=65536:65536");
    let (name, values) = text.split_once('=').ok_or_else(|| refuse("it has no value"))?;
    let value = |text: &str| match text {
        "-1" | "unlimited" => Some(u64::MAX),
        text => text.parse().ok(),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let (Some(soft), Some(hard)) = (value(soft), value(hard)) else { return Err(refuse("a limit is a number")) };
    if soft > hard {
        return Err(refuse("the soft limit is above the hard one"));
    }
    EachLimit::named(name, soft, hard).ok_or_else(|| refuse("there is no such limit"))
}

/// `-u`, checked as far as that goes without the image.
///
/// # Errors
/// Usage.
pub fn user_option(text: &str) -> Result<String, Failure> {
    match text.is_empty() || text.chars().any(char::is_control) {
        true => Err(wrong("-u", &text.escape_debug().to_string(), "USER[:GROUP], by name or number, is expected")),
        false => Ok(text.to_owned()),
    }
}

/// The lines of `--env-file`: `NAME=value`; a name alone is taken from `of_host`. Lines with `#` first are comments.
///
/// # Errors
/// Input: which line is none.
pub fn environment_file(
    path: &Path,
    text: &str,
    of_host: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>, Failure> {
    let mut variables = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (line, of_host(line)),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            let place = path.display();
            return Err(Failure::usage(format!("--env-file {place}: line {} is not NAME=value", number + 1)));
        }
        variables.extend(value.map(|value| (name.to_owned(), value)));
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_paths_or_names() {
        let parse = |text| volume(text, Path::new("/here")).unwrap();
        let option = |source, target: &str, is_read_only| VolumeOption { source, target: target.into(), is_read_only };
        let path = |text: &str| VolumeSource::Path(text.into(), true);
        assert_eq!(parse("/a:/b"), option(path("/a"), "/b", false));
        assert_eq!(parse("./src:/app:ro"), option(path("/here/./src"), "/app", true));
        assert_eq!(parse("cache:/root/.cache:z"), option(VolumeSource::Name("cache".into()), "/root/.cache", false));
        assert_eq!(parse("/data"), option(VolumeSource::Anonymous, "/data", false));
        for (bad, why) in [
            ("a:b", "-v 'a:b': the target is an absolute path without .., and not /"),
            ("a:/", "-v 'a:/': the target is an absolute path without .., and not /"),
            ("a:/x/../y", "-v 'a:/x/../y': the target is an absolute path without .., and not /"),
            ("../x/:y:/z:ro", "-v '../x/:y:/z:ro': it has too many colons"),
            ("/a:/b:exec", "-v '/a:/b:exec': 'exec' is not possible; ro and rw are"),
            (
                "a/b:/c",
                "-v 'a/b:/c': a volume's name has letters, digits, '_', '.' and '-'; a path begins with / or ./",
            ),
        ] {
            assert_eq!(volume(bad, Path::new("/")).unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn mounts_say_the_same_in_words() {
        let parse = |text| mount_option(text, Path::new("/here"));
        let bind = parse("type=bind,src=data,dst=/data,readonly").unwrap();
        let source = VolumeSource::Path("/here/data".into(), false);
        assert_eq!(bind, MountOption::Volume(VolumeOption { source, target: "/data".into(), is_read_only: true }));
        let memory = parse("type=tmpfs,destination=/run,tmpfs-size=1m,tmpfs-mode=700").unwrap();
        assert_eq!(memory, MountOption::Tmpfs("/run".into(), Some(1 << 20), 0o700));
        for (bad, why) in [
            ("type=bind,target=/x", "--mount 'type=bind,target=/x': a bind needs a source"),
            ("type=npipe,target=/x", "--mount 'type=npipe,target=/x': the type 'npipe' is not possible"),
            ("type=tmpfs,src=a,target=/x", "--mount 'type=tmpfs,src=a,target=/x': a tmpfs has no source"),
            ("target=/x,size=3", "--mount 'target=/x,size=3': 'size' is not possible"),
            (
                "type=volume,target=/x,volume-nocopy",
                "--mount 'type=volume,target=/x,volume-nocopy': 'volume-nocopy' is not possible",
            ),
            (
                "type=bind,src=a,target=/x,bind-propagation=shared",
                "--mount 'type=bind,src=a,target=/x,bind-propagation=shared': 'bind-propagation' is not possible",
            ),
            (
                "type=bind,src=a,target=/x,tmpfs-size=1m",
                "--mount 'type=bind,src=a,target=/x,tmpfs-size=1m': tmpfs-size and tmpfs-mode are of type=tmpfs",
            ),
        ] {
            assert_eq!(parse(bad).unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn e20_ports_are_of_the_loopback_unless_an_address_is_given() {
        let one = |text: &str| published(text).unwrap()[0].0;
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(one("8000:80"), Port { address: local, host: 8000, inside: 80, is_udp: false });
        assert_eq!(one("80"), Port { address: local, host: 80, inside: 80, is_udp: false });
        assert_eq!(one("0.0.0.0:53:53/udp").address, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        assert_eq!(one("[::1]:1:2").address.to_string(), "::1");
        assert_eq!(published("8000-8002:1-3").unwrap().len(), 3);
        for bad in ["", "x", "1:0", "1:70000", "9-8:1-2", "1-2:3", "1:2/sctp", "host:1:2", "1:2:3:4"] {
            assert!(published(bad).is_err(), "{bad}");
        }
        assert_eq!(published("1:0").unwrap_err().to_string(), "-p '1:0': a port is a number from 1 to 65535");
    }

    #[test]
    fn limits_and_files_of_variables() {
        assert!(["nofile=100:200", "core=-1", "core=5"].iter().all(|text| ulimit(text).is_ok()));
        assert_eq!(
            ulimit("nofile=3:2").unwrap_err().to_string(),
            "--ulimit 'nofile=3:2': the soft limit is above the hard one"
        );
        assert!(ulimit("fish=1").is_err() && ulimit("nofile").is_err());
        let text = "# comment\n\nA=1\n  B= two = 2 \nC\nD\n";
        let variables = environment_file(Path::new("f"), text, &|name| (name == "C").then(|| "host".into())).unwrap();
        let expected = [("A", "1"), ("B", " two = 2 "), ("C", "host")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(variables, expected);
        let said = environment_file(Path::new("f"), "A=1\n=2\n", &|_| None).unwrap_err().to_string();
        assert_eq!(said, "--env-file f: line 2 is not NAME=value");
    }
}
