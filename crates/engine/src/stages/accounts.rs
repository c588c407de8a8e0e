//! Users and groups by the image's own `/etc/passwd` and `/etc/group`, read as data: at most 10 MiB, a regular file, inside the
//! root. Nothing of the image is ever run or loaded for it.

use corten_diagnostic::{Failure, Report};
use corten_oci::DiffId;

use super::content::Layers;

/// Bytes of such a file.
const LIMIT: u64 = 10 << 20;
/// Supplementary groups that a process may have.
const GROUPS_LIMIT: usize = 1024;

/// Who a process is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) user: u32,
    pub(super) group: u32,
    pub(super) groups: Vec<u32>,
    /// As the line of the user says.
    pub(super) home: Option<String>,
}

/// The accounts of an image.
pub(super) struct Accounts {
    users: Vec<User>,
    groups: Vec<Group>,
}

struct User {
    name: String,
    id: u32,
    group: u32,
    home: String,
}

struct Group {
    name: String,
    id: u32,
    members: Vec<String>,
}

impl Accounts {
    pub(super) fn read(layers: &Layers<'_>, of: &[DiffId]) -> Result<Self, Report> {
        let text = |path: &str| -> Result<String, Report> {
            Ok(String::from_utf8_lossy(&layers.small(of, path, LIMIT)?.unwrap_or_default()).into_owned())
        };
        Ok(Self::parse(&text("etc/passwd")?, &text("etc/group")?))
    }

    fn parse(passwd: &str, group: &str) -> Self {
        let users = passwd.lines().filter_map(|line| {
            let mut fields = line.trim().split(':');
            let (name, _, id, group) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
            let home = fields.nth(1).unwrap_or_default().to_owned();
            Some(User { name: name.to_owned(), id: id.parse().ok()?, group: group.parse().ok()?, home })
        });
        let groups = group.lines().filter_map(|line| {
            let mut fields = line.trim().split(':');
            let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
            let members = fields.next().unwrap_or_default().split(',').filter(|name| !name.is_empty());
            Some(Group { name: name.to_owned(), id: id.parse().ok()?, members: members.map(str::to_owned).collect() })
        });
        Self { users: users.collect(), groups: groups.collect() }
    }

    /// Who `USER` means: `name`, `uid`, each with `:group` or `:gid`. Root where it is empty.
    pub(super) fn process(&self, written: &str) -> Result<Account, Failure> {
        let (user, group) = match written.split_once(':') {
            Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
            None => (written, None),
        };
        let user = if user.is_empty() { "0" } else { user };
        let number = self.number(user);
        let known = self
            .users
            .iter()
            .find(|known| known.name == user)
            .or_else(|| self.users.iter().find(|known| Some(known.id) == number));
        let id = match (known, number) {
            (Some(known), _) => known.id,
            (None, Some(number)) => number,
            (None, None) => return Err(self.unknown("user", user, self.users.iter().map(|user| &user.name))),
        };
        let (main, groups) = match (group, known) {
            (Some(group), _) => (self.group(group)?, Vec::new()),
            (None, Some(known)) => (known.group, self.of_member(&known.name)),
            (None, None) => (0, Vec::new()),
        };
        Ok(Account {
            user: id,
            group: main,
            groups,
            home: known.map(|known| known.home.clone()).filter(|home| !home.is_empty()),
        })
    }

    /// Whose files `--chown` makes: a number alone is the group's, too.
    pub(super) fn owner(&self, written: &str) -> Result<(u64, u64), Failure> {
        let (user, group) = match written.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (written, None),
        };
        let (uid, own) = match (user, self.number(user)) {
            ("", _) => (0, 0),
            (_, Some(number)) => (number, number),
            (name, None) => match self.users.iter().find(|known| known.name == name) {
                Some(known) => (known.id, known.group),
                None if name == "root" => (0, 0),
                None => return Err(self.unknown("user", name, self.users.iter().map(|user| &user.name))),
            },
        };
        let gid = match group {
            None => own,
            Some("") => 0,
            Some(group) => self.group(group)?,
        };
        Ok((uid.into(), gid.into()))
    }

    fn number(&self, text: &str) -> Option<u32> {
        text.parse().ok().filter(|number| *number < u32::MAX && text.bytes().all(|byte| byte.is_ascii_digit()))
    }

    fn group(&self, text: &str) -> Result<u32, Failure> {
        let known = self.groups.iter().find(|known| known.name == text).map(|known| known.id);
        match known.or_else(|| self.number(text)) {
            Some(id) => Ok(id),
            None if text == "root" => Ok(0),
            None => Err(self.unknown("group", text, self.groups.iter().map(|group| &group.name))),
        }
    }

    fn of_member(&self, name: &str) -> Vec<u32> {
        let mut all: Vec<u32> = self
            .groups
            .iter()
            .filter(|group| group.members.iter().any(|member| member == name))
            .map(|group| group.id)
            .collect();
        all.sort_unstable();
        all.dedup();
        all.truncate(GROUPS_LIMIT);
        all
    }

    fn unknown<'n>(&self, what: &str, name: &str, known: impl Iterator<Item = &'n String>) -> Failure {
        let file = if what == "user" { "passwd" } else { "group" };
        let shown: String = name.chars().filter(|letter| !letter.is_control()).take(64).collect();
        let known: Vec<&str> = known.map(String::as_str).take(12).collect();
        let failure = Failure::input(format!("there is no {what} '{shown}' in /etc/{file} of the stage"));
        match known.is_empty() {
            true => failure.hint("give its number, or make it with a RUN before this line"),
            false => failure
                .hint(format!("it knows {}; give a number, or make it with a RUN before this line", known.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use corten_diagnostic::Diagnose;

    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nwww:x:33:44::/var/www:/bin/false\nbroken:x:-1:0::/:\nlong:x:99999999999:1::/:\napp:x:1000:1000::/home/app:/bin/sh";
    const GROUP: &str = "root:x:0:\nwww:x:44:\nwheel:x:10:root,app\nvideo:x:27:app";

    #[test]
    fn e11_a_process_has_the_groups_of_its_user_and_no_others() {
        let accounts = Accounts::parse(PASSWD, GROUP);
        let of =
            |text: &str| accounts.process(text).map(|account| (account.user, account.group, account.groups)).unwrap();
        assert_eq!(of(""), (0, 0, vec![10]));
        assert_eq!(of("www"), (33, 44, vec![]));
        assert_eq!(of("33"), (33, 44, vec![]), "a number has its line's group");
        assert_eq!(of("app"), (1000, 1000, vec![10, 27]));
        assert_eq!(of("app:video"), (1000, 27, vec![]));
        assert_eq!(of("4242"), (4242, 0, vec![]));
        assert_eq!(of("4242:7"), (4242, 7, vec![]));
    }

    #[test]
    fn e10_ids_that_are_none_are_unknown() {
        let accounts = Accounts::parse(PASSWD, GROUP);
        for name in ["broken", "long", "-1", "4294967295", "4294967296", "+1", "nobody"] {
            assert!(accounts.process(name).is_err(), "{name}");
            assert!(accounts.owner(name).is_err(), "{name}");
        }
        let error = accounts.process("nobody").unwrap_err();
        assert_eq!(error.to_string(), "there is no user 'nobody' in /etc/passwd of the stage");
        assert_eq!(error.hints(), ["it knows root, www, app; give a number, or make it with a RUN before this line"]);
    }

    #[test]
    fn owners_are_as_buildkit_takes_them() {
        let accounts = Accounts::parse(PASSWD, GROUP);
        let of = |text: &str| accounts.owner(text).unwrap();
        assert_eq!(of("7"), (7, 7));
        assert_eq!(of("7:8"), (7, 8));
        assert_eq!(of("www"), (33, 44));
        assert_eq!(of("www:"), (33, 0));
        assert_eq!(of(":wheel"), (0, 10));
        assert_eq!(Accounts::parse("", "").owner("root:root").unwrap(), (0, 0), "scratch knows root");
    }
}
