//! What an image says and what the user says, made into one sandbox.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use corten_diagnostic::Failure;
use corten_oci::ContainerConfig;
use corten_sandbox::{
    Capabilities, Content, Excess, Helper, Ids, Limits, Mount, Network, Passage, Port, Process, Root, Sandbox, Upper,
    Window,
};

use crate::accounts::Accounts;
use crate::options::{NetworkChoice, Options, VolumeOption, VolumeSource};

/// Where shells look for programs when an image does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// `/dev/shm` where nothing is said: data loaders of several workers need more than docker's 64 MiB. It takes memory only as it
/// fills.
const SHM: u64 = 1 << 30;
/// What a folder in memory may take where nothing is said.
const TMPFS: u64 = 1 << 30;
/// Where queries of names go that pasta passes on.
const RESOLVER: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 53);

/// What a container stands on.
#[derive(Debug)]
pub struct Ground<'a> {
    /// How the image starts.
    pub config: &'a ContainerConfig,
    /// Its layers' trees, the uppermost first.
    pub trees: &'a [PathBuf],
    /// Where changes go; `None`: into memory.
    pub disk: Option<&'a Path>,
    /// Where named volumes are.
    pub volumes: &'a Path,
    /// The container's id, 64 letters.
    pub id: &'a str,
    /// pasta, where it is.
    pub pasta: Option<PathBuf>,
    /// The host's `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// Proxies and authorities that the process gets.
    pub passage: &'a Passage,
    /// The size of the terminal, if there is to be one.
    pub window: Option<Window>,
}

/// A container to be.
#[derive(Debug)]
pub struct Planned {
    /// Everything that its process gets.
    pub sandbox: Sandbox,
    /// What is not as it might be expected.
    pub notes: Vec<String>,
    /// What stops it.
    pub stop_signal: i32,
    /// Volumes that are its own.
    pub anonymous: Vec<String>,
    /// What is let in.
    pub ports: Vec<Port>,
}

/// Makes one of both.
///
/// # Errors
/// Usage where options cannot be together, input where the image lacks what is asked of it.
pub fn plan(options: &Options, ground: &Ground<'_>) -> Result<Planned, Failure> {
    let accounts = Accounts::read(ground.trees);
    let account = accounts.resolve(options.user.as_deref().unwrap_or(&ground.config.user), &options.groups)?;
    let hostname = hostname(options, ground.id)?;
    let (network, note) = network(options, ground)?;
    let (volumes, anonymous) = volumes(options, ground)?;
    let mut process = Process::new(command(options, ground.config)?);
    process.environment = environment(options, ground, &network, (&hostname, &account.home));
    let folder = options.folder.as_deref().unwrap_or(&ground.config.working_dir);
    process.folder = working_folder(folder)?;
    (process.user, process.group, process.groups) = (account.user, account.group, account.groups);
    process.capabilities = capabilities(options);
    process.no_new_privileges = !options.may_gain_privileges;
    process.terminal = ground.window;
    let own = (process.user, process.group);
    let mut mounts = vec![Mount::Proc, Mount::Dev { shm: shm(options) }];
    if network != Network::Host {
        mounts.push(Mount::Sys);
    }
    mounts.extend(ground.passage.mounts(own));
    mounts.extend(names(&network, ground, &hostname, own));
    mounts.extend(volumes);
    mounts.push(Mount::Folder(process.folder.clone()));
    if process.folder == Path::new("/") {
        mounts.pop();
    }
    let upper = match (options.is_read_only, ground.disk) {
        (true, _) => Upper::ReadOnly,
        (false, Some(disk)) => Upper::Keep(disk.to_owned()),
        (false, None) => Upper::Discard(TMPFS),
    };
    let ports = options.published.iter().map(|published| published.0).collect();
    let sandbox = Sandbox {
        root: Root::Overlay { lower: ground.trees.to_vec(), upper },
        mounts,
        process,
        network,
        limits: limits(options),
        hostname,
        ids: Ids::Shifted,
        helper: Helper::default(),
    };
    let stop_signal = options.stop_signal.as_deref().or(ground.config.stop_signal.as_deref()).unwrap_or("SIGTERM");
    Ok(Planned { sandbox, notes: note.into_iter().collect(), stop_signal: signal(stop_signal)?, anonymous, ports })
}

/// The command, as docker puts it together.
fn command(options: &Options, config: &ContainerConfig) -> Result<Vec<String>, Failure> {
    let (entrypoint, usual) = match &options.entrypoint {
        Some(program) if program.is_empty() => (Vec::new(), Vec::new()),
        Some(program) => (vec![program.clone()], Vec::new()),
        None => (config.entrypoint.clone().unwrap_or_default(), config.cmd.clone().unwrap_or_default()),
    };
    let arguments = if options.arguments.is_empty() { usual } else { options.arguments.clone() };
    let command: Vec<String> = entrypoint.into_iter().chain(arguments).collect();
    match command.first() {
        Some(program) if !program.is_empty() => Ok(command),
        _ => Err(Failure::input("the image has no command of its own").hint("name one: corten run IMAGE COMMAND")),
    }
}

fn environment(
    options: &Options,
    ground: &Ground<'_>,
    network: &Network,
    (hostname, home): (&str, &str),
) -> BTreeMap<OsString, OsString> {
    let mut environment = BTreeMap::from([("PATH".to_owned(), PATH.to_owned()), ("HOME".to_owned(), home.to_owned())]);
    environment.insert("HOSTNAME".to_owned(), hostname.to_owned());
    if options.has_terminal {
        environment.insert("TERM".to_owned(), "xterm".to_owned());
    }
    environment.extend(ground.passage.variables().into_iter().filter(|(_, value)| is_reached(value, network)));
    let of_image = ground.config.env.iter().flatten().filter_map(|variable| variable.split_once('='));
    environment.extend(of_image.map(|(name, value)| (name.to_owned(), value.to_owned())));
    environment.extend(options.environment.clone());
    environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// A proxy on the host's own loopback is out of reach from another network.
fn is_reached(value: &str, network: &Network) -> bool {
    *network == Network::Host || !["localhost", "127.", "[::1]"].iter().any(|own| value.contains(&format!("://{own}")))
}

fn working_folder(text: &str) -> Result<PathBuf, Failure> {
    let path = Path::new(if text.is_empty() { "/" } else { text });
    let is_plain = path.components().skip(1).all(|part| matches!(part, std::path::Component::Normal(_)));
    match path.is_absolute() && is_plain {
        true => Ok(path.components().collect()),
        false => {
            Err(Failure::input(format!("the working folder '{}' is no absolute path without ..", text.escape_debug()))
                .hint("-w FOLDER takes another one"))
        }
    }
}

fn capabilities(options: &Options) -> Capabilities {
    let has_all = options.dropped.contains(&Capabilities::ALL);
    let start = if has_all { Capabilities::NONE } else { Capabilities::CONTAINER };
    let with = options.added.iter().copied().fold(start, Capabilities::with);
    options.dropped.iter().copied().filter(|one| *one != Capabilities::ALL).fold(with, Capabilities::without)
}

fn shm(options: &Options) -> u64 {
    options.shm.unwrap_or_else(|| options.memory.map_or(SHM, |memory| (memory / 2).max(64 << 20).min(memory)))
}

fn limits(options: &Options) -> Limits {
    Limits {
        memory: options.memory,
        processes: options.processes,
        cpu: options.cpu,
        each: options.each.clone(),
        excess: Excess::Refuse,
        ..Limits::default()
    }
}

/// E19: what goes into prompts and files has letters and digits.
fn hostname(options: &Options, id: &str) -> Result<String, Failure> {
    let Some(name) = &options.hostname else { return Ok(id.chars().take(12).collect()) };
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    match !name.is_empty() && name.len() <= 63 && name.bytes().all(is_good) && !name.starts_with(['-', '.']) {
        true => Ok(name.clone()),
        false => Err(Failure::usage(format!(
            "--hostname '{}': a host name has letters, digits, '-' and '.', 63 at most",
            name.escape_debug()
        ))),
    }
}

/// The network, and what there is to say about it.
fn network(options: &Options, ground: &Ground<'_>) -> Result<(Network, Option<String>), Failure> {
    let ports: Vec<Port> = options.published.iter().map(|published| published.0).collect();
    let lacks = "pasta (Debian's package passt) is not installed, or /dev/net/tun is not open to this user";
    match (options.network, &ground.pasta) {
        (NetworkChoice::None, _) if !ports.is_empty() => {
            Err(Failure::usage("-p with --network none: nothing reaches a container without a network"))
        }
        (NetworkChoice::None, _) => Ok((Network::None, None)),
        (NetworkChoice::Usual | NetworkChoice::Own, Some(pasta)) => {
            let resolver = is_only_local(&ground.resolv_conf).then_some(RESOLVER);
            Ok((Network::Own { helper: pasta.clone(), ports, resolver }, None))
        }
        (NetworkChoice::Own, None) => {
            Err(Failure::world(format!("there is no network of its own for a container: {lacks}"))
                .hint("apt-get install passt, or --network host"))
        }
        (choice, _) => {
            if let Some(port) = ports.iter().find(|port| port.host != port.inside) {
                let why = match choice {
                    NetworkChoice::Host => "the container is in the host's network".to_owned(),
                    _ => format!("the container is in the host's network, because {lacks}"),
                };
                return Err(Failure::usage(format!(
                    "-p {}:{}: {why}, where a port has one number only",
                    port.host, port.inside
                ))
                .hint(format!("-p {0}:{0}, or let the program listen on {1}", port.inside, port.host)));
            }
            let asked: Vec<String> = ports.iter().map(|port| format!("-p {0}:{0}", port.host)).collect();
            let note = match (choice, asked.is_empty()) {
                (NetworkChoice::Usual, _) => {
                    Some(format!("the container is in the host's network, its ports are the host's: {lacks}"))
                }
                (_, false) => Some(format!(
                    "{}: the container is in the host's network, where it listens itself, on the addresses that it chooses",
                    asked.join(" ")
                )),
                (_, true) => None,
            };
            Ok((Network::Host, note))
        }
    }
}

fn nameservers(resolv_conf: &str) -> impl Iterator<Item = &str> {
    resolv_conf.lines().filter_map(|line| line.trim().strip_prefix("nameserver")).map(str::trim)
}

/// Resolvers on the host's loopback are out of reach from a network of its own.
fn is_only_local(resolv_conf: &str) -> bool {
    let mut all = nameservers(resolv_conf).peekable();
    all.peek().is_none() || all.all(|address| address.starts_with("127.") || address == "::1")
}

/// `/etc/resolv.conf`, `/etc/hosts`, `/etc/hostname`.
fn names(network: &Network, ground: &Ground<'_>, hostname: &str, (user, group): (u32, u32)) -> Vec<Mount> {
    let resolv_conf = match network {
        Network::Own { resolver: Some(address), .. } => {
            let kept = |line: &&str| !line.trim_start().starts_with("nameserver");
            let rest: String = ground.resolv_conf.lines().filter(kept).map(|line| format!("{line}\n")).collect();
            format!("nameserver {address}\n{rest}")
        }
        Network::None => String::new(),
        _ => ground.resolv_conf.clone(),
    };
    let hosts = format!(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n127.0.1.1\t{hostname}\n"
    );
    let file = |target: &str, text: String| Mount::Secret {
        target: target.into(),
        mode: 0o644,
        user,
        group,
        content: Content(text.into_bytes()),
    };
    vec![
        file("/etc/resolv.conf", resolv_conf),
        file("/etc/hosts", hosts),
        file("/etc/hostname", format!("{hostname}\n")),
    ]
}

/// What is mounted by the user and by the image, shallow targets first; and the names of volumes that are the container's own.
fn volumes(options: &Options, ground: &Ground<'_>) -> Result<(Vec<Mount>, Vec<String>), Failure> {
    let mut by_target: BTreeMap<PathBuf, Mount> = BTreeMap::new();
    let mut anonymous = Vec::new();
    let taken: Vec<&Path> = options
        .volumes
        .iter()
        .map(|one| one.target.as_path())
        .chain(options.tmpfs.iter().map(|one| one.0.as_path()))
        .collect();
    let of_image = ground.config.volumes.iter().flatten().filter(|target| !taken.contains(&Path::new(target)));
    let of_image = of_image.map(|target| VolumeOption {
        source: VolumeSource::Anonymous,
        target: target.into(),
        is_read_only: false,
    });
    for volume in options.volumes.iter().cloned().chain(of_image) {
        let VolumeOption { source, target, is_read_only: read_only } = volume;
        let mount = match source {
            VolumeSource::Path(source, _) => Mount::Bind { source, target: target.clone(), read_only },
            VolumeSource::Name(name) => {
                Mount::Volume { source: ground.volumes.join(name), target: target.clone(), read_only }
            }
            VolumeSource::Anonymous => {
                let name = format!("{}-{}", ground.id, anonymous.len());
                let source = ground.volumes.join(&name);
                anonymous.push(name);
                Mount::Volume { source, target: target.clone(), read_only }
            }
        };
        if by_target.insert(target.clone(), mount).is_some() {
            return Err(Failure::usage(format!("two mounts on {}", target.display())));
        }
    }
    for (target, size, mode) in &options.tmpfs {
        let mount = Mount::Tmpfs { target: target.clone(), size: size.unwrap_or(TMPFS), mode: *mode };
        if by_target.insert(target.clone(), mount).is_some() {
            return Err(Failure::usage(format!("two mounts on {}", target.display())));
        }
    }
    // In the order of paths a folder comes before what lies in it.
    Ok((by_target.into_values().collect(), anonymous))
}

/// The number of a signal: `SIGTERM`, `term`, `15`, `SIGRTMIN+3`.
///
/// # Errors
/// Usage.
pub fn signal(text: &str) -> Result<i32, Failure> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = || {
        let offset = name.strip_prefix("RTMIN")?;
        let offset = if offset.is_empty() { 0 } else { offset.strip_prefix('+')?.parse::<i32>().ok()? };
        34_i32.checked_add(offset)
    };
    let by_name = NAMES.iter().zip(1..).find(|(known, _)| **known == name).map(|(_, number)| number);
    let number = by_name.or_else(|| name.parse::<i32>().ok()).or_else(real_time);
    number.filter(|number| (1..=64).contains(number)).ok_or_else(|| {
        Failure::usage(format!("there is no signal '{}'", text.escape_debug())).hint("SIGTERM, TERM or 15")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::published;

    fn config() -> ContainerConfig {
        ContainerConfig {
            entrypoint: Some(vec!["/entry".into()]),
            cmd: Some(vec!["usual".into()]),
            env: Some(vec!["A=1".into(), "PATH=/bin".into()]),
            volumes: Some(vec!["/data".into(), "/other".into()]),
            working_dir: "/work".into(),
            stop_signal: Some("SIGINT".into()),
            ..ContainerConfig::default()
        }
    }

    fn ground<'a>(config: &'a ContainerConfig, pasta: Option<&str>) -> Ground<'a> {
        Ground {
            config,
            trees: &[],
            disk: None,
            volumes: Path::new("/volumes"),
            id: "0123456789abcdef",
            pasta: pasta.map(Into::into),
            passage: Passage::none(),
            resolv_conf: "nameserver 127.0.0.53\nsearch home\n".into(),
            window: None,
        }
    }

    fn planned(options: &Options) -> Planned {
        plan(options, &ground(&config(), None)).unwrap()
    }

    fn arguments(options: &Options) -> Vec<OsString> {
        planned(options).sandbox.process.arguments
    }

    #[test]
    fn commands_are_put_together_as_docker_does() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(arguments(&Options::default()), ["/entry", "usual"]);
        assert_eq!(arguments(&Options { arguments: words(&["a", "b"]), ..Options::default() }), ["/entry", "a", "b"]);
        let sh = Options { entrypoint: Some("sh".into()), ..Options::default() };
        assert_eq!(arguments(&sh), ["sh"], "the image's arguments are its entry point's");
        let none = Options { entrypoint: Some(String::new()), ..Options::default() };
        let said = plan(&none, &ground(&config(), None)).unwrap_err().to_string();
        assert_eq!(said, "the image has no command of its own");
    }

    #[test]
    fn the_environment_is_the_images_with_the_users_over_it() {
        let environment = [("A".to_owned(), "2".to_owned()), ("B".to_owned(), "3".to_owned())].into();
        let process = planned(&Options { environment, ..Options::default() }).sandbox.process;
        let value = |name: &str| process.environment.get(std::ffi::OsStr::new(name)).cloned();
        assert_eq!(
            ["A", "B", "PATH", "HOME", "HOSTNAME", "TERM"].map(value),
            [
                Some("2".into()),
                Some("3".into()),
                Some("/bin".into()),
                Some("/".into()),
                Some("0123456789ab".into()),
                None
            ]
        );
        assert_eq!(process.folder, Path::new("/work"));
    }

    #[test]
    fn volumes_of_the_image_are_its_own_unless_something_is_mounted_there() {
        let volumes = vec![crate::options::volume("named:/data/deep", Path::new("/")).unwrap()];
        let tmpfs = vec![("/other".into(), None, 0o755)];
        let planned = planned(&Options { volumes, tmpfs, ..Options::default() });
        assert_eq!(planned.anonymous, ["0123456789abcdef-0"]);
        let targets = planned.sandbox.mounts.iter().filter_map(|mount| match mount {
            Mount::Volume { target, source, .. } => Some((target.to_str().unwrap(), source.to_str().unwrap())),
            Mount::Tmpfs { target, .. } => Some((target.to_str().unwrap(), "memory")),
            _ => None,
        });
        assert_eq!(
            targets.collect::<Vec<_>>(),
            [("/data", "/volumes/0123456789abcdef-0"), ("/data/deep", "/volumes/named"), ("/other", "memory")]
        );
    }

    #[test]
    fn networks_are_ones_own_where_pasta_is() {
        let ports = |text| Options { published: published(text).unwrap(), ..Options::default() };
        let config = config();
        let with = plan(&ports("8000:80"), &ground(&config, Some("/usr/bin/pasta"))).unwrap();
        assert!(matches!(&with.sandbox.network, Network::Own { ports, resolver: Some(_), .. } if ports.len() == 1));
        assert!(with.notes.is_empty() && with.sandbox.mounts.iter().any(|mount| matches!(mount, Mount::Sys)));
        let without = plan(&ports("80:80"), &ground(&config, None)).unwrap();
        assert_eq!(without.sandbox.network, Network::Host);
        assert_eq!(
            without.notes,
            [
                "the container is in the host's network, its ports are the host's: pasta (Debian's package passt) is not installed, or /dev/net/tun is not open to this user"
            ]
        );
        let said = plan(&ports("8000:80"), &ground(&config, None)).unwrap_err();
        assert_eq!(
            said.to_string(),
            "-p 8000:80: the container is in the host's network, because pasta (Debian's package passt) is not installed, or /dev/net/tun is not open to this user, where a port has one number only"
        );
        let none = Options { network: NetworkChoice::None, ..ports("1:1") };
        let said = plan(&none, &ground(&config, None)).unwrap_err().to_string();
        assert_eq!(said, "-p with --network none: nothing reaches a container without a network");
    }

    #[test]
    fn resolvers_of_the_hosts_loopback_are_replaced() {
        assert!(is_only_local("nameserver 127.0.0.53\n") && is_only_local("") && is_only_local("nameserver ::1"));
        assert!(!is_only_local("nameserver 127.0.0.1\nnameserver 9.9.9.9\n"));
    }

    #[test]
    fn e19_names_of_hosts_are_letters_and_digits() {
        for bad in ["a/b", "..", "a\u{1b}[0m", "", "-x"] {
            let options = Options { hostname: Some(bad.into()), ..Options::default() };
            let said = plan(&options, &ground(&config(), None)).unwrap_err().to_string();
            assert!(said.contains("a host name has letters") && !said.contains('\u{1b}'), "{said}");
        }
    }

    #[test]
    fn signals_have_names_and_numbers() {
        assert_eq!(
            ["SIGTERM", "int", "9", "SIGRTMIN+3", "RTMIN"].map(|text| signal(text).unwrap()),
            [15, 2, 9, 37, 34]
        );
        assert_eq!(signal("fish").unwrap_err().to_string(), "there is no signal 'fish'");
        assert!(signal("0").is_err() && signal("65").is_err());
        assert_eq!(planned(&Options::default()).stop_signal, 2);
    }

    #[test]
    fn capabilities_are_added_and_dropped() {
        let options = Options {
            added: vec![Capabilities::named("net_bind_service").unwrap()],
            dropped: vec![Capabilities::ALL],
            ..Options::default()
        };
        assert_eq!(capabilities(&options), Capabilities::named("net_bind_service").unwrap());
        assert_eq!(capabilities(&Options::default()), Capabilities::CONTAINER);
    }

    #[test]
    fn shared_memory_is_for_data_loaders() {
        assert_eq!(shm(&Options::default()), 1 << 30);
        assert_eq!(shm(&Options { memory: Some(8 << 30), ..Options::default() }), 4 << 30);
        assert_eq!(shm(&Options { memory: Some(8 << 30), shm: Some(5), ..Options::default() }), 5);
    }
}
