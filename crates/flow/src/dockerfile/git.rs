//! Repositories as contexts and as sources of ADD: `https://host/x.git#ref:folder`.
//!
//! Who may not reach every address ([`Reach`]) says so of the repository and of each of its submodules, before git speaks to it.
//!
//! `git` on PATH fetches one commit into a folder of the store. Nothing of an address is ever taken for an option, only protocols
//! that go over the network are spoken, no hook or helper of the repository runs, and the folder in it is opened through no
//! link.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use corten_diagnostic::{Failure, Report};
use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::world::World;

/// What git may speak.
const PROTOCOLS: &str = "http:https:git:ssh";

/// A commit's files.
pub struct Cloned {
    /// Its folder, or the one in it that is meant.
    pub path: PathBuf,
    /// 40 (or 64) hexadecimal digits.
    pub commit: String,
}

/// Where a repository is spoken to.
pub struct Reached {
    /// Past redirects.
    pub remote: String,
    /// What its name means there, that nobody may say otherwise a moment later.
    pub pin: Pin,
}

/// How git is told an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Pin {
    /// The remote says it, or nothing is to be held.
    #[default]
    None,
    /// `host:port:address`, as curl takes it.
    Curl(String),
    /// For ssh, which knows the host's key by its name all the same.
    Ssh {
        /// The name.
        host: String,
        /// What it means.
        address: IpAddr,
    },
}

/// Refuses an address, or says where it leads.
pub type Reach<'a> = &'a dyn Fn(&str) -> Result<Reached, Report>;

/// What an address of a repository says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Address {
    remote: String,
    reference: Option<String>,
    folder: Option<String>,
    checksum: Option<String>,
    keep: Option<bool>,
}

/// Is it a repository's address, as docker tells them from others?
pub fn is_repository(text: &str) -> bool {
    let before = text.split(['#', '?']).next().unwrap_or(text);
    let over_http = before.starts_with("http://") || before.starts_with("https://");
    text.starts_with("git://")
        || text.starts_with("ssh://")
        || text.starts_with("git@")
        || text.starts_with("github.com/")
        || (over_http && before.ends_with(".git"))
}

/// The host of a repository's address.
pub fn host(text: &str) -> Option<&str> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let place = rest.split(['/', '#', '?']).next()?;
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    Some(if text.contains("://") { place } else { place.split(':').next()? }).filter(|host| !host.is_empty())
}

/// Fetches a commit below `below`.
///
/// # Errors
/// Input for an address that means nothing or leads out, and another commit than `checksum`; world where git is not there or
/// the repository does not answer.
pub fn clone(
    text: &str,
    keep: bool,
    checksum: Option<&str>,
    below: &Path,
    reach: Option<Reach<'_>>,
    world: &World<'_>,
) -> Result<Cloned, Report> {
    let mut address = Address::parse(text).map_err(|why| Failure::input(format!("{}: {why}", shown(text))))?;
    if world.client.is_offline() {
        let message = format!("fetching {}: no connection is made while offline", shown(text));
        return Err(Failure::world(message).hint("leave out --offline").into());
    }
    let folder = below.join("repository");
    let mut git = Git { folder: folder.clone(), address: shown(text), settings: Vec::new(), ssh: None, reach };
    std::fs::create_dir_all(&folder).map_err(|error| git.failed(&error.to_string()))?;
    address.remote = git.reached(&address.remote)?;
    git.ask(&["init", "-q", "."])?;
    // Submodules may be told relative to it.
    git.ask(&["remote", "add", "--", "origin", &shown(&address.remote)])?;
    git.fetch(&address)?;
    git.ask(&["-c", "advice.detachedHead=false", "checkout", "-q", "--force", "FETCH_HEAD"])?;
    let commit = git.ask(&["rev-parse", "HEAD"])?.trim().to_owned();
    if let Some(wanted) = checksum.or(address.checksum.as_deref())
        && !(wanted.len() >= 7 && commit.starts_with(wanted))
    {
        return Err(Failure::input(format!("{} is at commit {commit}, not {wanted}", shown(text)))
            .hint("the checksum is the commit, or at least seven digits of it")
            .into());
    }
    git.submodules(MOST_NESTED)?;
    if !address.keep.unwrap_or(keep) {
        std::fs::remove_dir_all(folder.join(".git")).map_err(|error| git.failed(&error.to_string()))?;
    }
    let path = match &address.folder {
        None => folder.clone(),
        Some(inside) => git.inside(inside)?,
    };
    Ok(Cloned { path, commit })
}

/// Without user and password.
pub(super) fn shown(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest.get(..end).and_then(|host| host.rfind('@')) {
        Some(at) => format!("{scheme}://{}", rest.get(at + 1..).unwrap_or_default()),
        None => text.to_owned(),
    }
}

impl Address {
    fn parse(text: &str) -> Result<Self, String> {
        if text.chars().any(|letter| letter.is_control()) {
            return Err("it has control characters in it".to_owned());
        }
        let (rest, fragment) = text.split_once('#').map_or((text, None), |(rest, fragment)| (rest, Some(fragment)));
        let (remote, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let remote = if remote.starts_with("github.com/") { format!("https://{remote}") } else { remote.to_owned() };
        let mut address = Self { remote, ..Self::default() };
        if let Some(query) = query {
            address.query(query)?;
        }
        if let Some(fragment) = fragment {
            let (reference, folder) = fragment.split_once(':').unwrap_or((fragment, ""));
            address.reference = Some(reference.to_owned()).filter(|text| !text.is_empty()).or(address.reference);
            address.folder = Some(folder.to_owned()).filter(|text| !text.is_empty()).or(address.folder);
        }
        if let Some(reference) = &address.reference {
            check_reference(reference)?;
        }
        if let Some(folder) = &address.folder
            && folder.split('/').any(|part| part == "..")
        {
            return Err(format!("the folder {folder} leads out of the repository"));
        }
        Ok(address)
    }

    fn query(&mut self, query: &str) -> Result<(), String> {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = value.to_owned();
            match name {
                "ref" => self.reference = Some(value),
                "branch" => self.reference = Some(format!("refs/heads/{value}")),
                "tag" => self.reference = Some(format!("refs/tags/{value}")),
                "subdir" => self.folder = Some(value),
                "checksum" | "commit" => self.checksum = Some(value),
                "keep-git-dir" => self.keep = Some(matches!(value.as_str(), "" | "1" | "true")),
                other => return Err(format!("'{other}' says nothing about a repository")),
            }
        }
        Ok(())
    }
}

/// git-check-ref-format(1), as far as it keeps a name from being something else.
fn check_reference(reference: &str) -> Result<(), String> {
    let wrong = reference.is_empty()
        || reference.starts_with('-')
        || reference.contains("..")
        || reference.contains(['~', '^', ':', '?', '*', '[', '\\', ' ', '@', '\'', '"', '$', '`', ';', '|', '&']);
    if wrong { Err(format!("'{reference}' is no branch, tag or commit")) } else { Ok(()) }
}

/// Submodules of submodules.
const MOST_NESTED: usize = 8;

struct Git<'a> {
    folder: PathBuf,
    address: String,
    /// `name=value`.
    settings: Vec<String>,
    /// The host that ssh is told the address of.
    ssh: Option<String>,
    reach: Option<Reach<'a>>,
}

impl Git<'_> {
    /// Where an address leads; what git is told of it stays.
    fn reached(&mut self, address: &str) -> Result<String, Report> {
        let Some(reach) = self.reach else { return Ok(address.to_owned()) };
        let Reached { remote, pin } = reach(address)?;
        self.settings.push("http.followRedirects=false".to_owned());
        match pin {
            Pin::None => {}
            Pin::Curl(address) => self.settings.push(format!("http.curloptResolve={address}")),
            Pin::Ssh { host, address } => {
                // The user's own, if he has one; what is added holds for one host.
                let own = self.ask(&["config", "--get", "core.sshCommand"]).unwrap_or_default();
                let own = if own.trim().is_empty() { "ssh" } else { own.trim() };
                let pinned = format!("-o HostName={address} -o HostKeyAlias={host}");
                match self.ssh.replace(host) {
                    None => self.settings.push(format!("core.sshCommand={own} {pinned}")),
                    Some(before) if self.ssh.as_ref() == Some(&before) => {}
                    Some(before) => {
                        return Err(Failure::input(format!(
                            "{}: it lies at {before}, and a submodule at another host by ssh",
                            self.address
                        ))
                        .hint("--allow-private-add lets ADD reach any host")
                        .into());
                    }
                }
            }
        }
        Ok(remote)
    }

    /// Fetches submodules, and theirs.
    fn submodules(&mut self, left: usize) -> Result<(), Report> {
        let listed = std::fs::symlink_metadata(self.folder.join(".gitmodules"));
        if !listed.is_ok_and(|found| found.is_file()) {
            return Ok(());
        }
        if left == 0 {
            return Err(self.failed(&format!("it has submodules {MOST_NESTED} deep")).into());
        }
        self.ask(&["submodule", "--quiet", "init"])?;
        if self.reach.is_some() {
            let known = self.ask(&["config", "-z", "--get-regexp", r"^submodule\..*\.url$"]).unwrap_or_default();
            for (name, url) in known.split('\0').filter_map(|entry| entry.split_once('\n')) {
                let reached = self.reached(url)?;
                if reached != url {
                    self.ask(&["config", "--replace-all", name, &reached])?;
                }
            }
        }
        if let Err(first) = self.ask(&["submodule", "--quiet", "update", "--depth=1"]) {
            // Plain files behind HTTP know nothing of depth.
            self.ask(&["submodule", "--quiet", "update"]).map_err(|_| first)?;
        }
        let paths = self.ask(&["submodule", "--quiet", "foreach", "printf '%s\\n' \"$sm_path\""])?;
        for path in paths.lines() {
            let folder = self.inside(path)?;
            let outer = std::mem::replace(&mut self.folder, folder);
            self.submodules(left - 1)?;
            self.folder = outer;
        }
        Ok(())
    }

    fn failed(&self, why: &str) -> Failure {
        Failure::world(format!("fetching {}: {why}", self.address))
    }

    /// One commit; all of the history where the server gives no single one.
    fn fetch(&self, address: &Address) -> Result<(), Failure> {
        let wanted = address.reference.as_deref().unwrap_or("HEAD");
        let one = self.ask(&["fetch", "-q", "--no-tags", "--depth=1", "--", &address.remote, wanted]);
        let Err(first) = one else { return Ok(()) };
        let is_commit = wanted.len() >= 7 && wanted.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_commit {
            // Plain files behind HTTP know nothing of depth.
            return self.ask(&["fetch", "-q", "--no-tags", "--", &address.remote, wanted]).map(drop).map_err(|_| first);
        }
        let all = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];
        self.ask(&["fetch", "-q", "--", &address.remote, all[0], all[1]]).map_err(|_| first)?;
        let commit = format!("{wanted}^{{commit}}");
        let commit = self.ask(&["rev-parse", "--verify", "-q", "--end-of-options", &commit])?;
        self.ask(&["update-ref", "FETCH_HEAD", commit.trim()]).map(drop)
    }

    fn ask(&self, arguments: &[&str]) -> Result<String, Failure> {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.folder);
        let own = ["core.hooksPath=/dev/null", "core.fsmonitor=false", "core.symlinks=true", "gc.auto=0"];
        for setting in own.into_iter().chain(self.settings.iter().map(String::as_str)) {
            git.args(["-c", setting]);
        }
        git.args(arguments);
        git.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C").env("GIT_ALLOW_PROTOCOL", PROTOCOLS);
        git.env("GIT_LFS_SKIP_SMUDGE", "1").env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
        let output = git.output().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => self.failed("there is no git on PATH").hint("install git"),
            _ => self.failed(&format!("running git: {error}")),
        })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("git says nothing");
        Err(self.failed(&format!("git {}: {last}", arguments.first().unwrap_or(&""))))
    }

    /// A folder of the repository that no link leads to.
    fn inside(&self, folder: &str) -> Result<PathBuf, Failure> {
        let below = folder.trim_start_matches('/');
        let failed = |error: rustix::io::Errno| {
            Failure::input(format!("{} has no folder {folder}: {error}", self.address))
                .hint("links are not followed to it")
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&self.folder, flags, Mode::empty()).map_err(failed)?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let name = if below.is_empty() { "." } else { below };
        rustix::fs::openat2(root, OsStr::new(name), flags, Mode::empty(), resolve).map_err(failed)?;
        Ok(self.folder.join(below))
    }
}

#[cfg(test)]
mod tests {
    use corten_testkit::http::{Answer, Server};

    use super::*;

    /// As docker's page about contexts writes them.
    #[test]
    fn addresses_are_read_as_docker_has_them() {
        let parse = |text: &str| {
            let address = Address::parse(text).unwrap();
            (address.remote, address.reference.unwrap_or_default(), address.folder.unwrap_or_default())
        };
        let of =
            |remote: &str, reference: &str, folder: &str| (remote.to_owned(), reference.to_owned(), folder.to_owned());
        let url = "https://example.org/user/repo.git";
        assert_eq!(parse(url), of(url, "", ""));
        assert_eq!(parse(&format!("{url}#branch")), of(url, "branch", ""));
        assert_eq!(parse(&format!("{url}#:docker")), of(url, "", "docker"));
        assert_eq!(parse(&format!("{url}#refs/pull/42/head:a/b")), of(url, "refs/pull/42/head", "a/b"));
        assert_eq!(parse(&format!("{url}?branch=v1&subdir=x")), of(url, "refs/heads/v1", "x"));
        assert_eq!(parse("git@example.org:user/repo.git#v1"), of("git@example.org:user/repo.git", "v1", ""));
        assert!(is_repository("github.com/user/repo") && !is_repository("https://example.org/x.tar.gz"));
    }

    /// A bare repository of one commit, as a folder that any web server can serve; `more` runs before the commit.
    fn served(more: &str) -> (tempfile::TempDir, Server) {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "set -e; git init -q -b main w; cd w; echo 1 >f; {more}; git add -A; \
             git -c user.name=a -c user.email=a@example.org commit -qm 1; cd ..; \
             git clone -q --bare w r.git; cd r.git; git update-server-info"
        );
        let made = Command::new("sh").current_dir(folder.path()).args(["-c", &script]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let root = folder.path().to_owned();
        let server = Server::start(move |asked| {
            let path = asked.path.split('?').next().unwrap_or_default().trim_start_matches('/');
            std::fs::read(root.join(path)).map_or_else(|_| Answer::status(404), Answer::ok)
        });
        (folder, server)
    }

    fn git<'a>(folder: &Path, reach: Option<Reach<'a>>) -> Git<'a> {
        let git = Git { folder: folder.to_owned(), address: "x".to_owned(), settings: Vec::new(), ssh: None, reach };
        git.ask(&["init", "-q", "."]).unwrap();
        git
    }

    /// The repository may be reached, where its submodule lies may not.
    #[test]
    fn d10_a_submodule_reaches_no_address_that_add_may_not() {
        let (_inner, private) = served("true");
        let url = private.url("/r.git");
        let modules = format!(
            "mkdir s; printf '[submodule \"s\"]\\n path = s\\n url = {url}\\n' >.gitmodules; \
             git update-index --add --cacheinfo 160000,$(printf '1%.0s' $(seq 40)),s"
        );
        let (_outer, public) = served(&modules);
        let asked = public.url("/r.git");
        let reach = |address: &str| match address == asked {
            true => Ok(Reached { remote: address.to_owned(), pin: Pin::None }),
            false => Err(Failure::input(format!("{address} is not on the internet")).into()),
        };
        let folder = tempfile::tempdir().unwrap();
        let mut git = git(folder.path(), Some(&reach));
        let remote = git.reached(&asked).unwrap();
        git.ask(&["remote", "add", "--", "origin", &remote]).unwrap();
        git.fetch(&Address { remote, ..Address::default() }).unwrap();
        git.ask(&["checkout", "-q", "--force", "FETCH_HEAD"]).unwrap();
        let error = git.submodules(MOST_NESTED).unwrap_err();
        assert_eq!(error.error().to_string(), format!("{url} is not on the internet"));
        assert!(private.asked().is_empty(), "{:?}", private.asked());
    }

    #[test]
    fn d10_git_follows_no_redirect_by_itself() {
        let (_inner, private) = served("true");
        let to = private.url("/r.git/info/refs");
        let public = Server::start(move |_| Answer::status(302).header("location", &to));
        let reach = |address: &str| Ok(Reached { remote: address.to_owned(), pin: Pin::None });
        let folder = tempfile::tempdir().unwrap();
        let mut git = git(folder.path(), Some(&reach));
        let remote = git.reached(&public.url("/r.git")).unwrap();
        git.fetch(&Address { remote, ..Address::default() }).unwrap_err();
        assert!(!public.asked().is_empty() && private.asked().is_empty(), "{:?}", private.asked());
    }

    /// What was looked at is what ssh connects to; the key is the host's, by its name.
    #[test]
    fn e10_ssh_is_told_the_address_that_was_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let pin = |host: &str| Pin::Ssh { host: host.to_owned(), address: [192, 0, 2, 7].into() };
        let reach = |address: &str| Ok(Reached { remote: address.to_owned(), pin: pin(host(address).unwrap()) });
        let mut git = git(folder.path(), Some(&reach));
        let log = folder.path().join("log");
        let script = format!("sh -c 'printf \"%s\\n\" \"$@\" >{}; exit 1' ssh -i key", log.display());
        git.ask(&["config", "core.sshCommand", &script]).unwrap();
        for remote in ["ssh://git@example.org/x.git", "git@example.org:x.git"] {
            let remote = git.reached(remote).unwrap();
            git.fetch(&Address { remote, ..Address::default() }).unwrap_err();
            let told = std::fs::read_to_string(&log).unwrap();
            let told: Vec<&str> = told.lines().collect();
            let expected = ["-i", "key", "-o", "HostName=192.0.2.7", "-o", "HostKeyAlias=example.org"];
            assert_eq!(told.get(..6), Some(&expected[..]), "{told:?}");
        }
        let other = git.reached("ssh://git@other.example/x.git").map(drop).unwrap_err();
        assert_eq!(other.error().to_string(), "x: it lies at example.org, and a submodule at another host by ssh");
    }

    #[test]
    fn d9_nothing_of_an_address_is_an_option_or_leads_out() {
        for fragment in ["--upload-pack=touch x", "-x", "main:../../x", "main:a/../../x", "a..b", "a\nb", "$(id)"] {
            let refused = Address::parse(&format!("https://example.org/x.git#{fragment}"));
            assert!(refused.is_err(), "{fragment}: {refused:?}");
        }
    }
}
