//! RUN: one command in a sandbox on top of the stage's layers; what it changed becomes a layer.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use corten_diagnostic::{Failure, Report};
use corten_oci::{Digest, Digester, LayerIndex, LayerPath};
use corten_plan::recipe::RunAction;
use corten_sandbox::{
    Capabilities, Content, End, Exit, Ids, Limits, Mount, Network, Output as Sink, Process, Remote, Root, Sandbox,
    Stdin, Streams, Upper as Changes,
};
use corten_store::{Batch, Key, Left, Owners, TreeLayer, Trees, Upper};

use super::accounts::{Account, Accounts};
use super::context::Context;
use super::details::{self, Details};
use super::means::{LocalLayer, StepId};
use super::mounts::{self, Bound, Mounted};
use super::output::Output;
use super::saved::Saved;
use super::solve::{Solver, State};
use super::view::{Last, View, resolve};
use super::wreck::Wreck;

/// Bytes of `/dev/shm` where nothing else is asked for, as docker has it.
const SHM: u64 = 64 << 20;
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// As BuildKit's.
const HOST_NAME: &str = "buildkitsandbox";
/// Bytes of the host's `/etc/resolv.conf` that are read.
const RESOLVER_LIMIT: u64 = 1 << 20;

/// Files that a command takes from elsewhere.
pub(super) struct Inputs {
    bound: Vec<Option<Bound>>,
}

/// Finds them.
pub(super) fn inputs(solver: &Solver<'_>, action: &RunAction) -> Result<Inputs, Report> {
    Ok(Inputs { bound: mounts::bound(solver, action)? })
}

impl Inputs {
    /// None where there are none.
    pub(super) fn digest(&self) -> Option<Digest> {
        let mut all = self.bound.iter().flatten().peekable();
        all.peek()?;
        let mut digester = Digester::new();
        all.for_each(|bound| digester.update(bound.digest().as_bytes()));
        Some(digester.finish())
    }
}

impl Solver<'_> {
    /// Folders of layers for overlayfs, the uppermost first.
    pub(super) fn trees(&self, layers: &[LocalLayer]) -> Result<Trees, Report> {
        let blobs: Vec<_> = layers.iter().filter_map(|layer| layer.blob.clone()).collect();
        let store = self.means.store;
        let missing: Vec<_> =
            blobs.into_iter().filter(|blob| !matches!(store.size(&blob.digest), Ok(Some(_)))).collect();
        if !missing.is_empty() {
            (self.means.bring)(&missing, "running a command on top of them")?;
        }
        let layers: Vec<TreeLayer> =
            layers.iter().map(|layer| TreeLayer { diff_id: layer.diff_id, blob: layer.blob.clone() }).collect();
        Ok(store.trees(&layers, store)?)
    }
}

/// Runs the command and keeps what it changed.
#[allow(clippy::too_many_arguments, reason = "what is known of one step")]
pub(super) fn run(
    solver: &Solver<'_>,
    id: StepId,
    name: &str,
    action: &RunAction,
    inputs: &Inputs,
    state: &State,
    key: &Key,
    batch: &Batch<'_>,
) -> Result<Saved, Report> {
    let store = solver.means.store;
    let account = account(solver, action, state)?;
    let capabilities = allowed(solver, action)?;
    let mounted = mounts::mount(solver, action, &inputs.bound)?;
    let lower = solver.trees(&state.layers)?;
    let folder = store.upper_folder()?;
    let empty = store.upper_folder()?;
    // overlayfs takes no folder twice: what a layer does, it does where it lies uppermost.
    let mut seen = HashSet::new();
    let mut below: Vec<PathBuf> = lower.iter().filter(|folder| seen.insert(*folder)).cloned().collect();
    if below.is_empty() {
        below.push(empty.path().to_owned());
    }
    let network = network(solver, action)?;
    let sandbox = Sandbox {
        root: Root::Overlay { lower: below, upper: Changes::Keep(folder.path().to_owned()) },
        mounts: all_mounts(solver, action, &mounted, &network),
        process: Process {
            // Only who asked for the host's network means its sockets, too.
            no_abstract_sockets: network == Network::Host
                && ![&action.network, &solver.means.network].iter().any(|asked| *asked == "host"),
            ..process(solver, action, &account, capabilities, &mounted)
        },
        network,
        limits: Limits { each: solver.means.each.clone(), ..Limits::default() },
        hostname: HOST_NAME.to_owned(),
        ids: Ids::Shifted,
        helper: solver.means.runner.helper(),
    };
    let output = Output::new(id, solver.means.progress, &mounted.secrets);
    let exit = carried_out(solver, id, &sandbox, &output)?;
    if let Err(failure) = ended(solver, name, &exit, &output) {
        let name = name.to_owned();
        solver.keep_wreck(Wreck { step: id, name, sandbox, mounted, folders: [folder, empty], lower });
        return Err(failure.into());
    }
    clean(solver, &sandbox, state, folder.path())?;
    let diff_ids = state.diff_ids();
    let upper = Upper {
        folder,
        layers: &diff_ids,
        lower: &lower,
        epoch: solver.pinned.recipe.epoch,
        owners: owners(&exit, &account),
    };
    let Left { kept, index, files } = store.stage_upper(upper, batch)?;
    let folder = files.first().ok_or_else(|| Failure::bug("a layer without a folder"))?;
    let details = details::of_tree(&Context::open(folder, None)?, &index)?;
    let left = left(key, &index, &details);
    batch.record(&details::key(&kept.diff_id), &details.encode())?;
    solver.layers.add_details(kept.diff_id, details);
    Ok(Saved { diff_id: kept.diff_id, tar_size: kept.tar_size, left, doubled: kept.doubled })
}

/// The command, from its start to its end; others may stop it meanwhile.
fn carried_out(solver: &Solver<'_>, id: StepId, sandbox: &Sandbox, output: &Output<'_>) -> Result<Exit, Failure> {
    let remote = Remote::default();
    solver.running(id, &remote);
    let mut both = output.stream();
    let streams = Streams {
        stdin: Stdin::Empty,
        stdout: Sink::Sink(&mut both),
        stderr: Sink::Joined,
        remote: Some(&remote),
        ..Streams::default()
    };
    let exit = solver.means.runner.run(sandbox, streams);
    // What is left of the last line is shown before the step has ended.
    drop(both);
    solver.ended(id);
    exit
}

/// What a command left, its times aside: where a command that was run again left the same, what comes after it stays.
fn left(key: &Key, index: &LayerIndex, details: &Details) -> Digest {
    let mut digester = Digester::new();
    digester.update(key.0.as_bytes());
    for entry in &index.entries {
        let said = (entry.path.as_bytes(), &entry.kind, entry.mode, entry.uid, entry.gid, entry.size);
        digester.update(format!("{said:?}\n").as_bytes());
        if let Some(detail) = details.get(entry.offset) {
            digester.update(format!("{:?} {:?}\n", detail.attributes.xattrs, detail.digest).as_bytes());
        }
    }
    digester.finish()
}

fn account(solver: &Solver<'_>, action: &RunAction, state: &State) -> Result<Account, Report> {
    Ok(Accounts::read(&solver.layers, &state.diff_ids())?.process(&action.user)?)
}

fn allowed(solver: &Solver<'_>, action: &RunAction) -> Result<Capabilities, Failure> {
    if let Some(device) = action.devices.first() {
        return Err(Failure::input(format!("--device={device}: devices of the host are given to no command")));
    }
    match action.security.as_str() {
        "insecure" if !solver.means.allowed.insecure => {
            Err(Failure::input("--security=insecure is not allowed").hint("--allow security.insecure allows it"))
        }
        "insecure" => Ok(Capabilities::ALL),
        _ => Ok(Capabilities::CONTAINER),
    }
}

fn network(solver: &Solver<'_>, action: &RunAction) -> Result<Network, Failure> {
    let asked = if action.network == "default" { solver.means.network.as_str() } else { action.network.as_str() };
    match asked {
        "none" => Ok(Network::None),
        "host" if action.network == "host" && !solver.means.allowed.host_network => {
            Err(Failure::input("--network=host is not allowed").hint("--allow network.host allows it"))
        }
        _ => Ok(Network::Host),
    }
}

fn process(
    solver: &Solver<'_>,
    action: &RunAction,
    account: &Account,
    capabilities: Capabilities,
    mounted: &Mounted,
) -> Process {
    let mut environment: BTreeMap<OsString, OsString> = BTreeMap::new();
    environment.insert("PATH".into(), DEFAULT_PATH.into());
    environment.insert("HOME".into(), account.home.clone().unwrap_or_else(|| "/".to_owned()).into());
    let passed = solver.means.passage.variables();
    let all = passed.iter().chain(&action.environment).chain(&action.proxies);
    environment.extend(all.map(|(name, value)| (name.into(), value.into())));
    environment.extend(mounted.variables.iter().map(|(name, value)| (name.into(), OsString::from_vec(value.clone()))));
    let mut process = Process::new(&action.arguments);
    process.environment = environment;
    process.folder = action.folder.clone().into();
    (process.user, process.group, process.groups) = (account.user, account.group, account.groups.clone());
    process.umask = 0o022;
    process.capabilities = capabilities;
    process.no_new_privileges = false;
    process
}

fn all_mounts(solver: &Solver<'_>, action: &RunAction, mounted: &Mounted, network: &Network) -> Vec<Mount> {
    let mut all = vec![Mount::Proc, Mount::Dev { shm: solver.means.shm.unwrap_or(SHM) }];
    // The kernel shows it to who owns the network alone.
    if *network != Network::Host {
        all.push(Mount::Sys);
    }
    let file = |target: &str, mode: u32, content: Vec<u8>| Mount::Secret {
        target: target.into(),
        mode,
        user: 0,
        group: 0,
        content: Content(content),
    };
    all.push(file("/etc/resolv.conf", 0o644, resolver()));
    all.push(file("/etc/hosts", 0o644, hosts(&solver.means.hosts)));
    all.extend(solver.means.passage.mounts((0, 0)));
    if let Some((name, text)) = &action.script {
        all.push(file(&format!("/dev/pipes/{name}"), 0o755, text.clone().into_bytes()));
    }
    all.extend(mounted.mounts.iter().cloned());
    all
}

/// The host's: the network is the host's, too.
fn resolver() -> Vec<u8> {
    let mut text = Vec::new();
    let read =
        std::fs::File::open("/etc/resolv.conf").and_then(|file| file.take(RESOLVER_LIMIT).read_to_end(&mut text));
    if read.is_ok() { text } else { Vec::new() }
}

fn hosts(more: &[(String, String)]) -> Vec<u8> {
    let mut text = format!("127.0.0.1\tlocalhost {HOST_NAME}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    more.iter().for_each(|(name, address)| text.push_str(&format!("{address}\t{name}\n")));
    text.into_bytes()
}

fn ended(solver: &Solver<'_>, name: &str, exit: &Exit, output: &Output<'_>) -> Result<(), Failure> {
    for note in &exit.notes {
        if let corten_sandbox::Note::OneId(_) = note {
            solver.means.progress.note(&note.to_string());
        }
    }
    let how = match exit.end {
        End::Status(0) => return Ok(()),
        End::Status(status) => format!("the command ended with status {status}"),
        End::Signal(signal) => format!("signal {signal} ended the command"),
        End::Limit(limit) => format!("the command reached a limit ({limit:?}) and was ended"),
        End::Killed => "the command was ended".to_owned(),
    };
    let failure = Failure::input(format!("{name}: {how}{}", output.shown()));
    // Its own words say nothing of who stands between.
    Err(match solver.means.passage.authorities.is_empty() && output.mistrusts() {
        true => failure.hint(
            "where a proxy looks into TLS, --ca-file FILE lets RUN trust its authority; else the image may lack ca-certificates",
        ),
        false => failure,
    })
}

/// Whose files are whose on disk.
fn owners(exit: &Exit, account: &Account) -> Owners {
    match exit.notes.iter().any(|note| matches!(note, corten_sandbox::Note::OneId(_))) {
        true => Owners::One { user: account.user.into(), group: account.group.into() },
        false => Owners::OnDisk,
    }
}

/// Takes away the empty files and folders that were made to mount something on, where the stage has nothing there.
fn clean(solver: &Solver<'_>, sandbox: &Sandbox, state: &State, folder: &Path) -> Result<(), Report> {
    let upper = folder.join("upper");
    let Ok(root) = Context::open(&upper, None) else { return Ok(()) };
    let view = solver.layers.view(&state.diff_ids())?;
    let targets = sandbox.mounts.iter().filter_map(|mount| match mount {
        Mount::Bind { target, .. } | Mount::Tmpfs { target, .. } | Mount::Secret { target, .. } => {
            Some(target.as_path())
        }
        Mount::Proc => Some(Path::new("/proc")),
        Mount::Dev { .. } => Some(Path::new("/dev")),
        Mount::Sys => Some(Path::new("/sys")),
        _ => None,
    });
    let mut stubs: Vec<LayerPath> = Vec::new();
    for target in targets {
        let real = resolve(view.as_ref(), target.as_os_str().as_encoded_bytes(), Last::Followed)?;
        stubs.extend(real.ancestors());
        stubs.push(real);
    }
    stubs.sort();
    stubs.dedup();
    // What lies deeper goes first.
    for stub in stubs.into_iter().rev() {
        if view.look(&stub)?.is_none() {
            root.remove_stub(&stub)?;
        }
    }
    Ok(())
}
