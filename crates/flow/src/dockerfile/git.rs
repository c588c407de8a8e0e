//! Repositories as contexts and as sources of ADD: `https://host/x.git#ref:folder`.
//!
//! Who may not reach every address ([`Reach`]) says so of the repository and of each of its submodules, before git speaks to it.
//!
//! `git` on PATH fetches one commit into a folder of the store. Nothing of an address is ever taken for an option, only protocols
//! that go over the network are spoken, no hook or helper of the repository runs, and the folder in it is opened through no
//! link.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Command;

use corten_diagnostic::{Failure, Report};
use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::ssh::{GitSsh, Server};
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
    /// `host:port:address`, as curl takes it: what its name means there, that nobody may say otherwise a moment later.
    pub resolve: Option<String>,
}

/// Refuses addresses, or says where they lead.
pub trait Reach {
    /// Of a repository over the web or `git://`.
    fn repository(&self, address: &str) -> Result<Reached, Report>;
    /// Of one by ssh, at this host and port: what the host's name means, where this machine can say it.
    fn server(&self, address: &str, host: &str, port: u16) -> Result<Option<IpAddr>, Report>;
}

/// Whom an address of a repository names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Who logs in.
    pub user: Option<&'a str>,
    /// A name, or an address without brackets.
    pub host: &'a str,
    /// Where another than usual.
    pub port: Option<u16>,
}

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

/// Whom an address by ssh or `git://` names. None for all that git could read as another host: it decodes `%2f` before it looks for
/// the end of one, takes brackets from around users, and of `user@host:path` all behind the first colon for the path.
pub fn place(text: &str) -> Option<Place<'_>> {
    let url = text.split_once("://");
    let authority = match url {
        Some(("ssh" | "git+ssh" | "ssh+git" | "git", rest)) => rest.split('/').next()?,
        Some(_) => return None,
        // `http::http://host` names a program to speak by.
        None => text.split_once(':').filter(|(_, path)| !path.starts_with(':'))?.0,
    };
    let (user, server) = match authority.split_once('@') {
        Some((user, server)) => (Some(user), server),
        None => (None, authority),
    };
    let (host, port) = match server.strip_prefix('[').filter(|_| url.is_some()) {
        Some(rest) => rest.split_once(']').filter(|(host, _)| host.parse::<Ipv6Addr>().is_ok())?,
        None => server.split_at(server.find(':').unwrap_or(server.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
        None if port.is_empty() => None,
        _ => return None,
    };
    let is_named = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_host = host.contains(':') || (host.bytes().all(is_named) && !host.starts_with('-') && !host.is_empty());
    let is_user = |user: &str| user.bytes().all(|byte| is_named(byte) || b"+~=,".contains(&byte)) && !user.is_empty();
    (is_host && user.is_none_or(is_user)).then_some(Place { user, host, port })
}

/// Of what [`place`] does not read.
pub(super) fn unclear(text: &str) -> Failure {
    Failure::input(format!("ADD {}: it is not clear which host this is", shown(text)))
        .hint("write ssh://USER@HOST/PATH; --allow-private-add lets ADD reach any host")
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
    reach: Option<&dyn Reach>,
    world: &World<'_>,
) -> Result<Cloned, Report> {
    let mut address = Address::parse(text).map_err(|why| Failure::input(format!("{}: {why}", shown(text))))?;
    if world.client.is_offline() {
        let message = format!("fetching {}: no connection is made while offline", shown(text));
        return Err(Failure::world(message).hint("leave out --offline").into());
    }
    let folder = below.join("repository");
    let (settings, ssh) = (Vec::new(), None);
    let mut git = Git { folder: folder.clone(), address: shown(text), settings, ssh, own_ssh: world.git_ssh, reach };
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
    /// The server that ssh connects to, and the line by which it does.
    ssh: Option<(Server, Option<String>)>,
    own_ssh: &'a GitSsh,
    reach: Option<&'a dyn Reach>,
}

impl Git<'_> {
    /// Where an address leads; what git is told of it stays.
    fn reached(&mut self, address: &str) -> Result<String, Report> {
        let Some(reach) = self.reach else { return Ok(address.to_owned()) };
        self.settings.push("http.followRedirects=false".to_owned());
        if ["http://", "https://", "git://"].iter().any(|scheme| address.starts_with(scheme)) {
            let Reached { remote, resolve } = reach.repository(address)?;
            self.settings.extend(resolve.map(|resolve| format!("http.curloptResolve={resolve}")));
            return Ok(remote);
        }
        let place = place(address).ok_or_else(|| unclear(address))?;
        let setting = self.ask(&["config", "--get", "core.sshCommand"]).unwrap_or_default();
        let own = self.own_ssh.line(&setting);
        let server = Server::of(&place, &own, &self.folder).map_err(|why| {
            self.failed(&format!("ssh -G {}: {why}", place.host))
                .hint("--allow-private-add asks ssh nothing, and lets ADD reach any host")
        })?;
        match &self.ssh {
            Some((before, _)) if *before == server => {}
            // The line holds for one.
            Some((before, _)) => {
                let message =
                    format!("{}: it lies at {}, and a submodule at another server by ssh", self.address, before.host);
                return Err(Failure::input(message).hint("--allow-private-add lets ADD reach any host").into());
            }
            None => {
                let found = reach.server(address, &server.host, server.port)?;
                if found.is_none() && !server.is_behind {
                    let failed = self.failed(&format!("{} cannot be found", server.host));
                    return Err(failed.hint("check the name, and the network's name servers").into());
                }
                let line = found.map(|found| server.line(&own, found));
                self.ssh = Some((server, line));
            }
        }
        Ok(address.to_owned())
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
        if let Some((_, Some(line))) = &self.ssh {
            git.env("GIT_SSH_COMMAND", line);
        }
        let output = corten_sandbox::as_caller(&mut git).output().map_err(|error| match error.kind() {
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

    /// Lets what it names be reached as it is, and every server by ssh as 192.0.2.7, or not at all.
    struct Only(Option<String>, Option<IpAddr>);

    impl Reach for Only {
        fn repository(&self, address: &str) -> Result<Reached, Report> {
            match self.0.as_deref().is_none_or(|only| only == address) {
                true => Ok(Reached { remote: address.to_owned(), resolve: None }),
                false => Err(Failure::input(format!("{address} is not on the internet")).into()),
            }
        }

        fn server(&self, _: &str, _: &str, _: u16) -> Result<Option<IpAddr>, Report> {
            Ok(self.1)
        }
    }

    fn git<'a>(folder: &Path, reach: &'a Only, own_ssh: &'a GitSsh) -> Git<'a> {
        let (settings, ssh) = (Vec::new(), None);
        let address = "x".to_owned();
        let git = Git { folder: folder.to_owned(), address, settings, ssh, own_ssh, reach: Some(reach) };
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
        let reach = Only(Some(asked.clone()), None);
        let folder = tempfile::tempdir().unwrap();
        let own = GitSsh::default();
        let mut git = git(folder.path(), &reach, &own);
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
        let (reach, own) = (Only(None, None), GitSsh::default());
        let folder = tempfile::tempdir().unwrap();
        let mut git = git(folder.path(), &reach, &own);
        let remote = git.reached(&public.url("/r.git")).unwrap();
        git.fetch(&Address { remote, ..Address::default() }).unwrap_err();
        assert!(!public.asked().is_empty() && private.asked().is_empty(), "{:?}", private.asked());
    }

    /// What was looked at is what ssh connects to; the key is the host's, by its name and port. Whoever says what ssh is, is heard.
    #[test]
    fn e10_ssh_is_told_the_address_that_was_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let script = |name: &str| {
            let path = folder.path().join(name);
            let answer = "*-G*p*2222*) echo hostname example.org; echo port 2222;; *-G*) echo hostname example.org; echo port 22;;";
            let log = folder.path().join("log");
            let text = format!(
                "#!/bin/sh\ncase \"$*\" in {answer}\n*) printf '%s\\n' {name} \"$@\" >{}; exit 1;; esac\n",
                log.display()
            );
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            path.display().to_string()
        };
        let (setting, command, program) = (script("setting"), script("command"), script("pro gram"));
        let text = |text: &String| Some(text.clone());
        let reach = Only(None, Some([192, 0, 2, 7].into()));
        for (own, setting, called) in [
            (GitSsh::default(), text(&setting), "setting"),
            (GitSsh { command: Some(format!("{command} -i key")), program: text(&program) }, text(&setting), "command"),
            (GitSsh { command: None, program: text(&program) }, text(&setting), "setting"),
            (GitSsh { command: None, program: text(&program) }, None, "pro"),
        ] {
            for (remote, alias) in [
                ("ssh://git@example.org/x.git", "example.org"),
                ("git@example.org:x.git", "example.org"),
                ("ssh://git@example.org:2222/x.git", "[example.org]:2222"),
            ] {
                let again = tempfile::tempdir().unwrap();
                let mut git = git(again.path(), &reach, &own);
                if let Some(setting) = &setting {
                    git.ask(&["config", "core.sshCommand", setting]).unwrap();
                }
                let remote = git.reached(remote).unwrap();
                git.fetch(&Address { remote, ..Address::default() }).unwrap_err();
                let told = std::fs::read_to_string(folder.path().join("log")).unwrap();
                let expected = format!("-o\nHostName=192.0.2.7\n-o\nHostKeyAlias={alias}\n");
                assert!(told.starts_with(called) && told.contains(&expected), "{called}: {told}");
                assert_eq!(told.contains("-i\nkey\n"), called == "command", "{told}");
            }
        }
    }

    /// One server by ssh: what ssh is told would hold for all. A name that nobody knows now may be a private address in a moment.
    #[test]
    fn e10_ssh_is_told_of_one_server_and_of_none_that_cannot_be_found() {
        let folder = tempfile::tempdir().unwrap();
        let line = "sh -c 'for last; do :; done; echo hostname ${last#*@}; echo port 22' ssh".to_owned();
        let own = GitSsh { command: Some(line), program: None };
        let reach = Only(None, Some([192, 0, 2, 7].into()));
        let mut one = git(folder.path(), &reach, &own);
        one.reached("ssh://git@example.org/x.git").unwrap();
        one.reached("git@example.org:y.git").unwrap();
        let other = one.reached("ssh://git@other.example/x.git").unwrap_err();
        assert_eq!(other.error().to_string(), "x: it lies at example.org, and a submodule at another server by ssh");
        let reach = Only(None, None);
        let error = git(folder.path(), &reach, &own).reached("git@example.org:x").unwrap_err();
        assert_eq!(error.error().to_string(), "fetching x: example.org cannot be found");
        let own = GitSsh { command: Some("echo who >&2; exit 1;".to_owned()), program: None };
        let error = git(folder.path(), &reach, &own).reached("git@example.org:x").unwrap_err();
        assert_eq!(error.error().to_string(), "fetching x: ssh -G example.org: who");
    }

    /// For most of these git 2.39 was seen to connect to 127.0.0.1, ::1 or fd00::5.
    #[test]
    fn d10_whom_git_could_read_as_another_host_is_no_place() {
        for hostile in [
            "git://127.0.0.1:19418%2f@nosuch.invalid/x",
            "ssh://git@%31%32%37.0.0.1/x",
            "git@127.0.0.1:x@nosuch.invalid#",
            "ssh://git@[::1]@nosuch.invalid/x",
            "ssh://git@::1/x",
            "[git@fd00::5]:x",
            "git@[::1]:x",
            "ssh://a@b@127.0.0.1/x",
            "ssh://nosuch.invalid#x@127.0.0.1/x",
            "ssh://nosuch.invalid?x@127.0.0.1/x",
            "ssh://nosuch.invalid\\@127.0.0.1/x",
            "nosuch.invalid#x@127.0.0.1:x",
            "git@127.0.0.1:p://nosuch.invalid/x",
            "http::http://127.0.0.1/x",
            "ssh::ssh://127.0.0.1/x",
            "ssh://-oProxyCommand=x/y",
            "ssh://h:22x/y",
            "ssh://h:99999/y",
            "ssh:///x",
            "/x",
            "",
        ] {
            let found = place(hostile).filter(|place| !["127.0.0.1", "::1", "fd00::5"].contains(&place.host));
            assert_eq!(found, None, "{hostile}");
        }
        let is = |user, host, port| Some(Place { user, host, port });
        assert_eq!(place("git@example.org:x/y:z"), is(Some("git"), "example.org", None));
        assert_eq!(place("git@127.0.0.1:x@nosuch.invalid"), is(Some("git"), "127.0.0.1", None));
        assert_eq!(place("ssh://example.org:2222/x"), is(None, "example.org", Some(2222)));
        assert_eq!(place("git://[fd00::5]:1/x@y"), is(None, "fd00::5", Some(1)));
        assert_eq!(place("git+ssh://me@[::1]/x"), is(Some("me"), "::1", None));
    }

    #[test]
    fn d9_nothing_of_an_address_is_an_option_or_leads_out() {
        for fragment in ["--upload-pack=touch x", "-x", "main:../../x", "main:a/../../x", "a..b", "a\nb", "$(id)"] {
            let refused = Address::parse(&format!("https://example.org/x.git#{fragment}"));
            assert!(refused.is_err(), "{fragment}: {refused:?}");
        }
    }
}
