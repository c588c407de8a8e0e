//! Which numbers the user of an image has: its own `/etc/passwd` and `/etc/group` say so, as data.
//!
//! They are opened in the trees, the uppermost that has them first, through descriptors: no link is followed, only regular
//! files of at most 10 MiB are read.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use corten_diagnostic::Failure;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// The largest file that is read.
const LARGEST: u64 = 10 << 20;

/// `/etc/passwd` and `/etc/group` of an image.
#[derive(Debug, Clone)]
pub struct Accounts {
    passwd: Result<String, String>,
    group: Result<String, String>,
}

/// Who a process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// User id.
    pub user: u32,
    /// Group id.
    pub group: u32,
    /// The other groups.
    pub groups: Vec<u32>,
    /// `HOME`.
    pub home: String,
}

impl Accounts {
    /// Reads them from the trees of an image, the uppermost first.
    pub fn read(trees: &[PathBuf]) -> Self {
        Self { passwd: read(trees, "etc/passwd"), group: read(trees, "etc/group") }
    }

    /// Of these texts.
    pub fn of(passwd: &str, group: &str) -> Self {
        Self { passwd: Ok(passwd.to_owned()), group: Ok(group.to_owned()) }
    }

    /// Resolves `user`, `uid`, `user:group`, `uid:gid`; empty is root. `more`: groups besides, by name or number.
    ///
    /// # Errors
    /// Input where a name is not there, a number is none, or a file cannot be read.
    pub fn resolve(&self, text: &str, more: &[String]) -> Result<Account, Failure> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let user = if user.is_empty() { "0" } else { user };
        let entry = self.user(user)?;
        let number = match &entry {
            Some(entry) => entry.user,
            None => number(user).ok_or_else(|| self.missing("user", user, "/etc/passwd"))?,
        };
        let own = entry.as_ref().map_or(0, |entry| entry.group);
        let mut groups = Vec::new();
        let group = match group.filter(|group| !group.is_empty()) {
            Some(group) => self.group(group)?,
            None => {
                if let Some(entry) = &entry {
                    groups = self.groups_of(&entry.name);
                }
                own
            }
        };
        for name in more {
            groups.push(self.group(name)?);
        }
        groups.sort_unstable();
        groups.dedup();
        groups.retain(|one| *one != group);
        let home = entry.map(|entry| entry.home).filter(|home| home.starts_with('/'));
        Ok(Account { user: number, group, groups, home: home.unwrap_or_else(|| "/".to_owned()) })
    }

    fn user(&self, user: &str) -> Result<Option<Entry>, Failure> {
        let text = match (&self.passwd, number(user)) {
            (Ok(text), _) => text.as_str(),
            (Err(_), Some(_)) => "",
            (Err(why), None) => return Err(unreadable("user", user, "/etc/passwd", why)),
        };
        let entries = || text.lines().filter_map(Entry::parse);
        let by_name = entries().find(|entry| entry.name == user);
        Ok(by_name.or_else(|| entries().find(|entry| Some(entry.user) == number(user))))
    }

    fn group(&self, group: &str) -> Result<u32, Failure> {
        let text = match (&self.group, number(group)) {
            (Ok(text), _) => text.as_str(),
            (Err(_), Some(number)) => return Ok(number),
            (Err(why), None) => return Err(unreadable("group", group, "/etc/group", why)),
        };
        let named = groups(text).find(|(name, ..)| *name == group).map(|(_, number, _)| number);
        named.or_else(|| number(group)).ok_or_else(|| self.missing("group", group, "/etc/group"))
    }

    fn groups_of(&self, user: &str) -> Vec<u32> {
        let text = self.group.as_deref().unwrap_or_default();
        groups(text)
            .filter(|(_, _, members)| members.split(',').any(|member| member == user))
            .map(|one| one.1)
            .collect()
    }

    fn missing(&self, what: &str, name: &str, file: &str) -> Failure {
        let shown = name.escape_debug();
        Failure::input(format!("the image has no {what} '{shown}'"))
            .hint(format!("{file} of the image lists them; a number from 0 to 4294967294 is always possible"))
    }
}

fn unreadable(what: &str, name: &str, file: &str, why: &str) -> Failure {
    let shown = name.escape_debug();
    Failure::input(format!("cannot look up the {what} '{shown}' in {file} of the image: {why}"))
}

/// An id; 4294967295 stands for none.
fn number(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && *number != u32::MAX)
}

/// A line of passwd(5).
struct Entry {
    name: String,
    user: u32,
    group: u32,
    home: String,
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let user = number(fields.nth(1)?)?;
        let group = number(fields.next()?)?;
        Some(Self { name, user, group, home: fields.nth(1).unwrap_or_default().to_owned() })
    }
}

/// Name, number, members of each line of group(5).
fn groups(text: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number = number(fields.nth(1)?)?;
        Some((name, number, fields.next().unwrap_or_default().trim()))
    })
}

/// A file of an image as its uppermost tree has it; nothing where none has.
fn read(trees: &[PathBuf], path: &str) -> Result<String, String> {
    for tree in trees {
        match open(tree, path) {
            Ok(Some(file)) => return text(file),
            // A whiteout: it is not there, whatever is below.
            Ok(None) => return Ok(String::new()),
            Err(Errno::NOENT) => {}
            Err(Errno::LOOP) => return Err("it lies behind a symbolic link".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(String::new())
}

fn open(tree: &Path, path: &str) -> Result<Option<OwnedFd>, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let root = rustix::fs::openat(CWD, tree, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let look = |path: &str, flags| rustix::fs::openat2(&root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve);
    let found = look(path, OFlags::PATH | OFlags::NOFOLLOW)?;
    let stat = rustix::fs::fstat(&found)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => look(path, OFlags::RDONLY | OFlags::NONBLOCK).map(Some),
        FileType::CharacterDevice if stat.st_rdev == 0 => Ok(None),
        FileType::Symlink => Err(Errno::LOOP),
        // A pipe would never end, a device has no business here.
        _ => Err(Errno::INVAL),
    }
}

fn text(file: OwnedFd) -> Result<String, String> {
    let mut bytes = Vec::new();
    File::from(file).take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LARGEST {
        return Err("it is larger than 10 MiB".to_owned());
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\nbad:x:-1:0::/:\n7:x:70:71::/seven:";
    const GROUP: &str = "root:x:0:\naudio:x:29:app,other\nvideo:x:44:app\nstaff:x:50:other";

    fn resolved(text: &str) -> (u32, u32, Vec<u32>, String) {
        let account = Accounts::of(PASSWD, GROUP).resolve(text, &[]).unwrap();
        (account.user, account.group, account.groups, account.home)
    }

    #[test]
    fn users_are_found_as_docker_finds_them() {
        assert_eq!(resolved(""), (0, 0, vec![], "/root".into()));
        assert_eq!(resolved("app"), (1000, 1001, vec![29, 44], "/home/app".into()));
        assert_eq!(resolved("1000"), (1000, 1001, vec![29, 44], "/home/app".into()), "by number too");
        assert_eq!(resolved("app:staff"), (1000, 50, vec![], "/home/app".into()), "a group that is named stands alone");
        assert_eq!(resolved("4242:99"), (4242, 99, vec![], "/".into()));
        assert_eq!(resolved("7"), (70, 71, vec![], "/seven".into()), "a name comes before a number");
        let more = Accounts::of(PASSWD, GROUP).resolve("app", &["staff".into(), "1001".into()]).unwrap();
        assert_eq!(more.groups, [29, 44, 50]);
    }

    #[test]
    fn what_is_not_there_is_told() {
        let said = |text| Accounts::of(PASSWD, GROUP).resolve(text, &[]).unwrap_err().to_string();
        assert_eq!(said("nobody"), "the image has no user 'nobody'");
        assert_eq!(said("app:none"), "the image has no group 'none'");
        assert_eq!(said("bad"), "the image has no user 'bad'", "E10: a negative id is none");
        assert_eq!(said("4294967295"), "the image has no user '4294967295'");
        assert_eq!(said("\u{1b}[2J"), "the image has no user '\\u{1b}[2J'");
    }

    #[test]
    fn e10_files_of_accounts_that_are_traps_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let tree = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.join("etc")).unwrap();
            path
        };
        let pipe = tree("pipe");
        rustix::fs::mknodat(CWD, pipe.join("etc/passwd"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let huge = tree("huge");
        File::create(huge.join("etc/passwd")).unwrap().set_len(1 << 30).unwrap();
        let link = tree("link");
        symlink("/etc/passwd", link.join("etc/passwd")).unwrap();
        let climbing = folder.path().join("climbing");
        fs::create_dir(&climbing).unwrap();
        symlink("../link/etc", climbing.join("etc")).unwrap();
        for (tree, why) in [
            (pipe, "Invalid argument (os error 22)"),
            (huge, "it is larger than 10 MiB"),
            (link, "it lies behind a symbolic link"),
            (climbing, "it lies behind a symbolic link"),
        ] {
            let accounts = Accounts::read(std::slice::from_ref(&tree));
            let said = accounts.resolve("app", &[]).unwrap_err().to_string();
            assert_eq!(said, format!("cannot look up the user 'app' in /etc/passwd of the image: {why}"));
            assert_eq!(accounts.resolve("12", &[]).unwrap().user, 12, "a number needs no file");
        }
    }

    #[test]
    fn the_uppermost_tree_counts() {
        let folder = tempfile::tempdir().unwrap();
        let (upper, lower) = (folder.path().join("upper"), folder.path().join("lower"));
        for (tree, number) in [(&upper, 1), (&lower, 2)] {
            fs::create_dir_all(tree.join("etc")).unwrap();
            fs::write(tree.join("etc/passwd"), format!("app:x:{number}:0::/:")).unwrap();
        }
        let empty = folder.path().join("empty");
        fs::create_dir(&empty).unwrap();
        let user = |trees: &[PathBuf]| Accounts::read(trees).resolve("app", &[]).map(|account| account.user);
        assert_eq!(user(&[empty.clone(), upper.clone(), lower.clone()]).unwrap(), 1);
        assert_eq!(user(&[lower, upper]).unwrap(), 2);
        assert!(user(&[empty]).is_err());
    }
}
