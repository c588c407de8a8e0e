//! Whom the user's ssh means by a name, and how it is told an address.
//!
//! An address that was looked at has to be the one that is connected to, though ssh looks names up by itself; and before it does,
//! the user's settings of ssh may make another name and port of one (`HostName`, `Port`). So ssh is asked what it makes of it
//! (`ssh -G`, as git does), that is looked at, and git calls ssh with `HostName`. The server's key is looked for by the name all the same.
//!
//! Which ssh that is, in git's order: `GIT_SSH_COMMAND`, a line for the shell; the setting `core.sshCommand`, another;
//! `GIT_SSH`, a program; `ssh`.

use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::git::Place;

/// Where ssh listens.
const PORT: u16 = 22;

/// What the environment says of the ssh that git is to call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitSsh {
    /// `GIT_SSH_COMMAND`.
    pub command: Option<String>,
    /// `GIT_SSH`.
    pub program: Option<String>,
}

impl GitSsh {
    /// The line for the shell that git would call, where `setting` is `core.sshCommand`.
    pub(super) fn line(&self, setting: &str) -> String {
        let setting = Some(setting.trim()).filter(|setting| !setting.is_empty());
        let line = self.command.as_deref().or(setting).map(str::to_owned);
        line.or_else(|| self.program.as_deref().map(quoted)).unwrap_or_else(|| "ssh".to_owned())
    }
}

/// A server as ssh is going to ask for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// By the user's settings.
    pub host: String,
    pub port: u16,
    /// What its key is known by.
    alias: String,
    /// Another machine looks its name up.
    pub is_behind: bool,
}

impl Server {
    /// What ssh, called by `line` in `folder`, makes of a place.
    ///
    /// # Errors
    /// What it says where it does not tell.
    pub(super) fn of(place: &Place<'_>, line: &str, folder: &Path) -> Result<Self, String> {
        let mut ssh = Command::new("sh");
        // As git calls it.
        ssh.current_dir(folder).arg("-c").arg(format!("{line} \"$@\"")).arg(line).arg("-G");
        if let Some(port) = place.port {
            ssh.args(["-p", &port.to_string()]);
        }
        ssh.arg(place.user.map_or_else(|| place.host.to_owned(), |user| format!("{user}@{}", place.host)));
        let output =
            corten_sandbox::as_caller(&mut ssh).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr);
        let last =
            || said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it says nothing").to_owned();
        match Self::told(&String::from_utf8_lossy(&output.stdout)) {
            Some(server) if output.status.success() => Ok(server),
            _ => Err(last()),
        }
    }

    /// ssh_config(5), as `ssh -G` prints it.
    fn told(text: &str) -> Option<Self> {
        let value = |name: &str| {
            text.lines()
                .find_map(|line| line.split_once(' ').filter(|(found, _)| *found == name))
                .map(|(_, value)| value)
        };
        let (host, port) = (value("hostname")?.to_owned(), value("port")?.parse().ok()?);
        // sshd(8): how known_hosts has it.
        let own = if port == PORT { host.clone() } else { format!("[{host}]:{port}") };
        let is_behind = ["proxyjump", "proxycommand"].iter().any(|name| value(name).is_some_and(|by| by != "none"));
        Some(Self { alias: value("hostkeyalias").map_or(own, str::to_owned), host, port, is_behind })
    }

    /// The line by which ssh connects to an address of this server's.
    pub(super) fn line(&self, own: &str, address: IpAddr) -> String {
        format!("{own} -o HostName={address} -o HostKeyAlias={}", quoted(&self.alias))
    }
}

/// One word for the shell.
fn quoted(text: &str) -> String {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// git-config(1), core.sshCommand; git(1), GIT_SSH.
    #[test]
    fn git_s_order_of_who_says_what_ssh_is() {
        let text = |text: &str| Some(text.to_owned());
        let both = GitSsh { command: text("ssh -i key"), program: text("/a b/ssh's") };
        assert_eq!(both.line("other"), "ssh -i key");
        let program = GitSsh { command: None, ..both };
        assert_eq!(program.line(" other -v\n"), "other -v");
        assert_eq!(program.line(""), r"'/a b/ssh'\''s'");
        assert_eq!(GitSsh::default().line(""), "ssh");
    }

    /// OpenSSH itself says what it makes of settings, and by which name it is going to look for the key.
    #[test]
    fn what_ssh_makes_of_a_name_is_what_is_looked_at() {
        let Some(ssh) = xtask::peers::installed("ssh") else { return };
        let folder = tempfile::tempdir().unwrap();
        let config = "Host github.example\n HostName ssh.github.example\n Port 443\nHost inner\n ProxyJump gate\n\
                      Host known\n HostKeyAlias alias\n";
        std::fs::write(folder.path().join("config"), config).unwrap();
        let line = format!("{} -F config", quoted(&ssh.display().to_string()));
        let of = |text: &str| Server::of(&super::super::git::place(text).unwrap(), &line, folder.path()).unwrap();
        let server = |host: &str, port: u16, alias: &str, is_behind: bool| Server {
            host: host.to_owned(),
            port,
            alias: alias.to_owned(),
            is_behind,
        };
        let github = server("ssh.github.example", 443, "[ssh.github.example]:443", false);
        assert_eq!(of("git@github.example:x/y"), github);
        assert_eq!(of("ssh://git@h.example/y"), server("h.example", 22, "h.example", false));
        assert_eq!(of("ssh://h.example:2222/y"), server("h.example", 2222, "[h.example]:2222", false));
        assert_eq!(of("git@inner:y"), server("inner", 22, "inner", true));
        assert_eq!(of("ssh://known:23/y"), server("known", 23, "alias", false));
        let told = github.line("ssh", [192, 0, 2, 7].into());
        assert_eq!(told, "ssh -o HostName=192.0.2.7 -o HostKeyAlias='[ssh.github.example]:443'");
        let error = Server::of(&super::super::git::place("git@h:x").unwrap(), "echo no >&2; false", folder.path());
        assert_eq!(error, Err("no".to_owned()));
    }
}
