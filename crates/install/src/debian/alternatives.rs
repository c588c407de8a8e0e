//! What `update-alternatives --install` makes, from the literal words of maintainer scripts.
//!
//! `LINK → /etc/alternatives/NAME → the path of the highest priority`, and the same for each follower ("slave") whose
//! target exists. Nothing is run: a statement whose words are not literal is refused by name. Source: dpkg's
//! `utils/update-alternatives.c`, update-alternatives(1).

use std::collections::BTreeMap;

/// Statements of one script; the most that was seen is 23.
const MOST_INSTALLS: usize = 1000;

/// One `--install` statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    /// The generic path: `/usr/bin/awk`.
    pub link: String,
    /// The group's name: `awk`.
    pub name: String,
    /// What stands for it: `/usr/bin/mawk`.
    pub path: String,
    /// The highest wins.
    pub priority: i32,
    /// Links that follow the choice.
    pub followers: Vec<Follower>,
}

/// `--slave LINK NAME PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follower {
    /// The generic path.
    pub link: String,
    /// Its name in `/etc/alternatives`.
    pub name: String,
    /// What stands for it with this choice.
    pub path: String,
}

/// All choices of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The group's name.
    pub name: String,
    /// The generic path.
    pub link: String,
    /// Sorted by path.
    pub choices: Vec<Install>,
}

/// The statements of a script. The error is a statement that is not literal.
pub fn parse_script(script: &str) -> Result<Vec<Install>, String> {
    let joined = script.replace("\\\n", " ");
    let mut found = Vec::new();
    for line in joined.lines() {
        for statement in statements(line) {
            let program = statement.iter().position(|word| word == "update-alternatives");
            let install = statement.iter().position(|word| word == "--install");
            if let (Some(program), Some(install)) = (program, install)
                && program < install
            {
                if found.len() >= MOST_INSTALLS {
                    return Err(format!("more than {MOST_INSTALLS} alternatives"));
                }
                found.push(parse_install(&statement[install + 1..]).ok_or_else(|| statement.join(" "))?);
            }
        }
    }
    Ok(found)
}

fn parse_install(words: &[String]) -> Option<Install> {
    let is_literal = |word: &String| !word.contains(['$', '`', '*', '?']);
    let [link, name, path, priority, followers @ ..] = words else { return None };
    if !words.iter().all(is_literal) || !link.starts_with('/') || !path.starts_with('/') || !is_name(name) {
        return None;
    }
    let mut install = Install {
        link: link.clone(),
        name: name.clone(),
        path: path.clone(),
        priority: priority.parse().ok()?,
        followers: Vec::new(),
    };
    for follower in followers.chunks(4) {
        match follower {
            [option, link, name, path]
                if option == "--slave" && link.starts_with('/') && path.starts_with('/') && is_name(name) =>
            {
                let (link, name, path) = (link.clone(), name.clone(), path.clone());
                install.followers.push(Follower { link, name, path });
            }
            _ => return None,
        }
    }
    Some(install)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains('/')
}

/// The words of each command of a line of shell. Comments are gone, quotes taken off.
pub(super) fn statements(line: &str) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    let push = |all: &mut Vec<Vec<String>>, word: &mut Option<String>| {
        if let (Some(word), Some(last)) = (word.take(), all.last_mut()) {
            last.push(word);
        }
    };
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), letter) => word.get_or_insert_default().push(letter),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ';' | '&' | '|' | '(' | ')' | '{' | '}') if word.as_deref() != Some("$") => {
                push(&mut all, &mut word);
                all.push(Vec::new());
            }
            (None, letter) if letter.is_whitespace() => push(&mut all, &mut word),
            (None, letter) => word.get_or_insert_default().push(letter),
        }
    }
    push(&mut all, &mut word);
    all
}

/// Joins statements to groups, sorted by name. A later statement for the same path replaces an earlier one. A choice
/// whose path does not exist is left out, as the program refuses it.
pub fn groups(installs: Vec<Install>, exists: impl Fn(&str) -> bool) -> Vec<Group> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for install in installs.into_iter().filter(|install| exists(&install.path)) {
        let name = install.name.clone();
        let new = || Group { name: name.clone(), link: install.link.clone(), choices: Vec::new() };
        let group = groups.entry(name.clone()).or_insert_with(new);
        group.choices.retain(|choice| choice.path != install.path);
        group.choices.push(install);
        group.choices.sort_by(|one, other| one.path.cmp(&other.path));
    }
    groups.into_values().collect()
}

impl Group {
    /// The choice of the highest priority; of equal ones the first that was installed by path order.
    pub fn best(&self) -> Option<&Install> {
        self.choices.iter().reduce(|best, choice| if choice.priority > best.priority { choice } else { best })
    }

    /// Every link that the group makes: where, and where to.
    pub fn links(&self, exists: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let Some(best) = self.best() else { return Vec::new() };
        let mut links = Vec::new();
        let mut add = |link: &str, name: &str, path: &str| {
            let switch = format!("/etc/alternatives/{name}");
            links.push((link.to_owned(), switch.clone()));
            links.push((switch, path.to_owned()));
        };
        add(&self.link, &self.name, &best.path);
        for follower in best.followers.iter().filter(|follower| exists(&follower.path)) {
            add(&follower.link, &follower.name, &follower.path);
        }
        links
    }

    /// `/var/lib/dpkg/alternatives/NAME`.
    pub fn state(&self) -> String {
        let followers: BTreeMap<&str, &str> = self
            .choices
            .iter()
            .flat_map(|choice| &choice.followers)
            .map(|follower| (follower.name.as_str(), follower.link.as_str()))
            .collect();
        let mut text = format!("auto\n{}\n", self.link);
        for (name, link) in &followers {
            text += &format!("{name}\n{link}\n");
        }
        text.push('\n');
        for choice in &self.choices {
            text += &format!("{}\n{}\n", choice.path, choice.priority);
            for name in followers.keys() {
                let own = choice.followers.iter().find(|follower| follower.name == *name);
                text += own.map_or("", |follower| &follower.path);
                text.push('\n');
            }
        }
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAWK: &str = r#"#!/bin/sh
set -e
# update-alternatives --install /no /no /no 1
if [ "$1" = "configure" ]; then
        update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5 \
            --slave /usr/share/man/man1/awk.1.gz awk.1.gz /usr/share/man/man1/mawk.1.gz \
            --slave /usr/bin/nawk nawk /usr/bin/mawk
fi
"#;

    #[test]
    fn literal_statements_are_read() {
        let found = parse_script(MAWK).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].path.as_str(), found[0].priority, found[0].followers.len()), ("/usr/bin/mawk", 5, 2));
        let quiet = "update-alternatives --quiet --install /a 'b' \"/c\" 10 || true\n";
        assert_eq!(parse_script(quiet).unwrap()[0].name, "b");
        assert_eq!(parse_script("update-alternatives --remove awk /usr/bin/mawk\n"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_not_literal_is_refused() {
        for bad in [
            "update-alternatives --install /usr/bin/$i $i /usr/bin/$i.im6 1",
            "update-alternatives --install /usr/bin/a ../../etc/passwd /usr/bin/b 1",
            "update-alternatives --install /usr/bin/a a usr/bin/b 1",
            "update-alternatives --install /usr/bin/a a /usr/bin/b",
            "update-alternatives --install /usr/bin/a a /usr/bin/b x",
            "update-alternatives --install /usr/bin/a a /usr/bin/b 1 --slave /c c",
        ] {
            assert!(parse_script(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_script_keeps_us_busy() {
        let many: String =
            (0..2000).map(|number| format!("update-alternatives --install /a a /b{number} 1\n")).collect();
        assert_eq!(parse_script(&many), Err("more than 1000 alternatives".to_owned()));
    }

    #[test]
    fn links_of_missing_followers_are_left_out_but_recorded() {
        let there = |path: &str| !path.contains("/man/");
        let groups = groups(parse_script(MAWK).unwrap(), there);
        let links = groups[0].links(there);
        let link = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(
            links,
            [
                link("/usr/bin/awk", "/etc/alternatives/awk"),
                link("/etc/alternatives/awk", "/usr/bin/mawk"),
                link("/usr/bin/nawk", "/etc/alternatives/nawk"),
                link("/etc/alternatives/nawk", "/usr/bin/mawk"),
            ]
        );
        let state = "auto\n/usr/bin/awk\nawk.1.gz\n/usr/share/man/man1/awk.1.gz\nnawk\n/usr/bin/nawk\n\n\
                     /usr/bin/mawk\n5\n/usr/share/man/man1/mawk.1.gz\n/usr/bin/mawk\n\n";
        assert_eq!(groups[0].state(), state);
    }

    #[test]
    fn the_highest_priority_wins() {
        let script = "update-alternatives --install /l n /a 10\nupdate-alternatives --install /l n /b 20\n\
                      update-alternatives --install /l n /c 30\n";
        let groups = groups(parse_script(script).unwrap(), |path| path != "/c");
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].best().map(|best| best.path.as_str()), Some("/b"));
        assert_eq!(groups[0].choices.len(), 2);
    }
}
