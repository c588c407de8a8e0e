//! GnuPG with a home of its own: makes keys and signatures, and judges them.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// When keys are made unless a test says otherwise, seconds since 1970.
pub const MADE: u64 = 1_700_000_000;

pub struct Gpg {
    home: tempfile::TempDir,
}

impl Gpg {
    /// None where this machine has no GnuPG (with a reason).
    pub fn new() -> Option<Self> {
        let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
        if !there("gpg") || !there("gpgv") {
            assert!(std::env::var_os("CI").is_none(), "gpg or gpgv is missing: packages gnupg and gpgv");
            println!("skipped: no gpg and gpgv on this machine");
            return None;
        }
        Some(Self { home: tempfile::tempdir().unwrap() })
    }

    /// A primary key; gives its fingerprint. `usage` is `sign` or `cert`, `expires` as gpg takes it (`never`, `1d`).
    pub fn key(&self, name: &str, algorithm: &str, usage: &str, expires: &str) -> String {
        self.run(MADE, &["--quick-generate-key", name, algorithm, usage, expires], b"");
        let listed = self.run(MADE, &["--with-colons", "--list-keys", name], b"");
        let listed = String::from_utf8(listed.stdout).unwrap();
        listed.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap().trim_matches(':').to_owned()
    }

    /// A subkey for signing.
    pub fn subkey(&self, primary: &str, algorithm: &str, expires: &str) {
        self.run(MADE, &["--quick-add-key", primary, algorithm, "sign", expires], b"");
    }

    /// Revokes a primary key.
    pub fn revoke(&self, fingerprint: &str) {
        let path = self.home.path().join(format!("openpgp-revocs.d/{fingerprint}.rev"));
        let certificate = fs::read_to_string(path).unwrap().replace(":-----BEGIN", "-----BEGIN");
        self.run(MADE, &["--import"], certificate.as_bytes());
    }

    /// A cleartext-signed message.
    pub fn sign(&self, key: &str, text: &str, time: u64) -> Vec<u8> {
        self.sign_with(&["--clearsign"], key, text, time)
    }

    pub fn sign_with(&self, how: &[&str], key: &str, text: &str, time: u64) -> Vec<u8> {
        let mut arguments = vec!["--local-user", key];
        arguments.extend(how);
        self.run(time, &arguments, text.as_bytes()).stdout
    }

    /// Public keys, binary.
    pub fn export(&self, keys: &[&str]) -> Vec<u8> {
        let arguments: Vec<&str> = std::iter::once("--export").chain(keys.iter().copied()).collect();
        self.run(MADE, &arguments, b"").stdout
    }

    fn run(&self, time: u64, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new("gpg");
        command.arg("--homedir").arg(self.home.path()).arg(format!("--faked-system-time={time}!"));
        command.args(["--batch", "--yes", "--quiet", "--pinentry-mode=loopback", "--passphrase="]);
        let output = feed(command.args(arguments), input);
        assert!(output.status.success(), "gpg {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").arg("--homedir").arg(self.home.path()).args(["--kill", "all"]).output();
    }
}

/// Does gpgv find a good signature of a key that is neither expired nor revoked?
pub fn gpgv(keyring: &[u8], message: &[u8]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("keys"), keyring).unwrap();
    fs::write(folder.path().join("message"), message).unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut command = Command::new("gpgv");
    command.args(["--status-fd", "1", "--keyring"]).arg(path("keys")).arg(path("message"));
    let output = feed(command.env("GNUPGHOME", folder.path() as &Path), b"");
    String::from_utf8_lossy(&output.stdout).lines().any(|line| line.starts_with("[GNUPG:] GOODSIG"))
}

fn feed(command: &mut Command, input: &[u8]) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a process");
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    })
}
