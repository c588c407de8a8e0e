//! Which packages a set of requests needs, chosen as `apt-get install --no-install-recommends` chooses.
//!
//! 1. The *forced set*: what follows from the requests through groups that only one package can meet.
//! 2. From the requests on, depth first, in the order of the files: a group that a chosen package meets is met; else
//!    the first target is taken that conflicts with nothing chosen or forced.
//!
//! Nothing is ever taken back: no case was found where apt does. Where no target is left, the error says which package
//! needs it, and what asked for that. Some edges may be cut (see [`Cut`]), for bases that configure nothing.

use std::collections::{BTreeSet, HashMap, HashSet};

use corten_diagnostic::{Diagnose, Fault};

use super::relation::{Group, Relation, RelationError, is_name};
use super::universe::{Id, Universe};

/// Packages in one solution; all of Debian's desktop tasks together have fewer.
const MAX_CHOSEN: usize = 20_000;

/// What to solve.
#[derive(Default)]
pub struct Request<'a> {
    /// Packages, real or virtual, by name.
    pub wanted: Vec<&'a str>,
    /// Packages that are there already.
    pub installed: Vec<Id>,
    /// Names that count as met, whatever the version.
    pub met: &'a [&'a str],
    /// Which edges lead nowhere.
    pub cut: Cut,
}

/// Which dependencies are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cut {
    /// None.
    #[default]
    Nothing,
    /// Those onto packages that exist to configure other packages. Libraries and data are never dropped.
    Configuration,
    /// Those onto packages that maintainer scripts alone use, for packages beside a base of which nobody knows what
    /// their programs do: Perl, awk and an editor's wrapper may well be what they run.
    Scripts,
}

/// Packages that exist to configure others: what needs them needs them only in its maintainer scripts.
const CONFIGURATION: [&str; 18] = [
    "adduser",
    "awk",
    "cdebconf",
    "debconf",
    "debconf-2.0",
    "dpkg",
    "init-system-helpers",
    "install-info",
    "libdebconfclient0",
    "lsb-base",
    "mawk",
    "passwd",
    "perl-base",
    "sensible-utils",
    "sysvinit-utils",
    "ucf",
    "usr-is-merged",
    "usrmerge",
];

/// Of them those that no program runs while the image is at work.
const SCRIPTS: [&str; 13] = [
    "adduser",
    "cdebconf",
    "debconf",
    "debconf-2.0",
    "dpkg",
    "init-system-helpers",
    "install-info",
    "lsb-base",
    "passwd",
    "sysvinit-utils",
    "ucf",
    "usr-is-merged",
    "usrmerge",
];

impl Cut {
    /// Is the dependency of `from` on `group` dropped?
    pub(super) fn drops(self, from: &str, group: &Group<'_>) -> bool {
        let Some(first) = group.first() else { return true };
        match self {
            Self::Nothing => false,
            Self::Configuration => {
                CONFIGURATION.contains(&first.name)
                    // update-passwd alone is linked against it, and is not kept.
                    || (from == "base-passwd" && first.name == "libselinux1")
                    || is_for_mountpoint(from, first.name)
                    || (from == "dpkg" && first.name == "tar")
            }
            // Who asks for one of them means to use it; dpkg-dev asks dpkg which processor it is for.
            Self::Scripts => {
                let is_used = SCRIPTS.contains(&from) || (from == "libdpkg-perl" && first.name == "dpkg");
                (SCRIPTS.contains(&first.name) && !is_used) || is_for_mountpoint(from, first.name)
            }
        }
    }
}

/// The postinst of Java calls mountpoint.
fn is_for_mountpoint(from: &str, name: &str) -> bool {
    from.starts_with("openjdk-") && name == "util-linux"
}

/// Why requests cannot be met.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SolveError {
    /// No such package.
    #[error("choosing Debian packages: there is no package '{name}'")]
    Unknown {
        /// What was asked for.
        name: String,
        /// A name much like it.
        similar: Option<String>,
    },
    /// A virtual package that several provide.
    #[error("choosing Debian packages: '{name}' is a virtual package of {}", .providers.join(", "))]
    Virtual {
        /// What was asked for.
        name: String,
        /// Who provides it.
        providers: Vec<String>,
    },
    /// A dependency that nothing can meet.
    #[error("choosing Debian packages: {} needs {need}, and {why}", .chain.join(" → "))]
    Unmet {
        /// From the request to the package that needs it.
        chain: Vec<String>,
        /// The group.
        need: String,
        /// Nothing has it, or what it conflicts with.
        why: String,
    },
    /// Two requests exclude each other.
    #[error("choosing Debian packages: {} conflicts with {}", .left.join(" → "), .right.join(" → "))]
    Conflict {
        /// From the request to the one.
        left: Vec<String>,
        /// From the request to the other.
        right: Vec<String>,
    },
    /// A package has a relation that cannot be read.
    #[error("choosing Debian packages: in the package index, {0}")]
    Malformed(#[from] RelationError),
    /// More packages than anyone installs.
    #[error("choosing Debian packages: more than {MAX_CHOSEN} packages would be needed")]
    TooMany,
}

impl Diagnose for SolveError {
    fn fault(&self) -> Fault {
        match self {
            Self::Malformed(_) => Fault::World,
            _ => Fault::Usage,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Unknown { similar: Some(similar), .. } => vec![format!("did you mean '{similar}'?")],
            Self::Virtual { .. } => vec!["ask for one of them".into()],
            Self::Conflict { .. } | Self::Unmet { .. } => vec!["leave one of the packages out".into()],
            _ => Vec::new(),
        }
    }
}

/// Chooses packages: what has to be added to the installed ones, sorted by name.
pub fn solve(universe: &Universe<'_>, request: &Request<'_>) -> Result<Vec<Id>, SolveError> {
    let wanted = request.wanted.iter().map(|name| wanted_id(universe, name)).collect::<Result<Vec<_>, _>>()?;
    let mut solver = Solver::new(universe, request)?;
    let new: Vec<Id> = wanted.into_iter().filter(|id| !solver.taken.contains(id)).collect();
    solver.force(&new)?;
    for id in &new {
        solver.take(*id, None)?;
    }
    for id in &new {
        solver.descend(*id)?;
    }
    let mut added = solver.added;
    added.sort_by_key(|id| universe.name(*id));
    Ok(added)
}

fn wanted_id(universe: &Universe<'_>, name: &str) -> Result<Id, SolveError> {
    if let Some(id) = universe.find(name) {
        return Ok(id);
    }
    match universe.providers_of(name).as_slice() {
        [] => Err(SolveError::Unknown { name: shown(name), similar: similar(universe, name) }),
        [only] => Ok(*only),
        several => {
            let providers = several.iter().map(|id| universe.name(*id).to_owned()).collect();
            Err(SolveError::Virtual { name: name.into(), providers })
        }
    }
}

fn shown(name: &str) -> String {
    name.chars().take(80).filter(|letter| !letter.is_control()).collect()
}

fn similar(universe: &Universe<'_>, name: &str) -> Option<String> {
    if !is_name(name) {
        return None;
    }
    let near = |other: &str| strsim::damerau_levenshtein(name, other);
    // Debian 13 renamed libraries whose times have 64 bits.
    let renamed = format!("{name}t64");
    if universe.find(&renamed).is_some() {
        return Some(renamed);
    }
    let names = universe.iter().map(|(_, candidate)| candidate.package.name);
    let close = names.filter(|other| other.len().abs_diff(name.len()) <= 2).map(|other| (near(other), other));
    close.filter(|(distance, _)| *distance <= 2).min().map(|(_, other)| other.to_owned())
}

struct Solver<'a, 'u> {
    universe: &'u Universe<'a>,
    request: &'u Request<'u>,
    /// Installed and chosen.
    taken: HashSet<Id>,
    /// Chosen, in order.
    added: Vec<Id>,
    /// Follows from the requests without any choice.
    forced: BTreeSet<Id>,
    /// What taken and forced packages rule out, and which of them does.
    excluded: HashMap<Id, Vec<Id>>,
    /// Which package brought a package in.
    because: HashMap<Id, Id>,
}

impl<'a, 'u> Solver<'a, 'u> {
    fn new(universe: &'u Universe<'a>, request: &'u Request<'u>) -> Result<Self, SolveError> {
        let mut solver = Self {
            universe,
            request,
            taken: HashSet::new(),
            added: Vec::new(),
            forced: BTreeSet::new(),
            excluded: HashMap::new(),
            because: HashMap::new(),
        };
        for id in &request.installed {
            solver.taken.insert(*id);
            solver.exclude_by(*id)?;
        }
        Ok(solver)
    }

    /// Fills the forced set.
    fn force(&mut self, wanted: &[Id]) -> Result<(), SolveError> {
        let mut waiting: Vec<Id> = wanted.to_vec();
        while let Some(id) = waiting.pop() {
            if self.taken.contains(&id) || !self.forced.insert(id) {
                continue;
            }
            if self.forced.len() > MAX_CHOSEN {
                return Err(SolveError::TooMany);
            }
            self.exclude_by(id)?;
            for group in self.open_groups(id)? {
                let targets = self.targets(&group);
                if let [only] = targets.as_slice()
                    && !targets.iter().any(|target| self.taken.contains(target))
                {
                    if !self.forced.contains(only) && !wanted.contains(only) {
                        self.because.entry(*only).or_insert(id);
                    }
                    waiting.push(*only);
                }
            }
        }
        Ok(())
    }

    fn exclude_by(&mut self, id: Id) -> Result<(), SolveError> {
        for other in self.universe.excludes(id)? {
            self.excluded.entry(other).or_default().push(id);
        }
        Ok(())
    }

    /// The groups of a package that are neither cut nor met by declaration.
    fn open_groups(&self, id: Id) -> Result<Vec<Group<'a>>, SolveError> {
        let name = self.universe.name(id);
        let mut groups = self.universe.needs(id)?;
        let met = |relation: &Relation<'_>| self.request.met.contains(&relation.name);
        groups.retain(|group| !self.request.cut.drops(name, group) && !group.iter().any(met));
        Ok(groups)
    }

    fn targets(&self, group: &Group<'_>) -> Vec<Id> {
        let mut targets = Vec::new();
        for relation in group {
            for id in self.universe.targets(relation) {
                if !targets.contains(&id) {
                    targets.push(id);
                }
            }
        }
        targets
    }

    fn take(&mut self, id: Id, because: Option<Id>) -> Result<(), SolveError> {
        if !self.taken.insert(id) {
            return Ok(());
        }
        if let Some(because) = because {
            self.because.insert(id, because);
        }
        if let Some(other) = self.conflict(id)? {
            return Err(SolveError::Conflict { left: self.chain(id), right: self.chain(other) });
        }
        if !self.forced.contains(&id) {
            self.exclude_by(id)?;
        }
        self.added.push(id);
        match self.added.len() > MAX_CHOSEN {
            true => Err(SolveError::TooMany),
            false => Ok(()),
        }
    }

    /// A taken or forced package that cannot be beside `id`.
    fn conflict(&self, id: Id) -> Result<Option<Id>, SolveError> {
        if let Some(other) = self.excluded.get(&id).and_then(|others| others.iter().find(|other| **other != id)) {
            return Ok(Some(*other));
        }
        let excludes = self.universe.excludes(id)?;
        Ok(excludes.into_iter().find(|other| self.taken.contains(other) || self.forced.contains(other)))
    }

    /// Meets the needs of a taken package and of everything that they bring, depth first.
    fn descend(&mut self, from: Id) -> Result<(), SolveError> {
        let mut stack = vec![(from, self.open_groups(from)?.into_iter())];
        while let Some((id, groups)) = stack.last_mut() {
            let id = *id;
            let Some(group) = groups.next() else {
                stack.pop();
                continue;
            };
            let targets = self.targets(&group);
            if targets.iter().any(|target| self.taken.contains(target)) {
                continue;
            }
            let chosen = self.choose(id, &group, &targets)?;
            self.take(chosen, Some(id))?;
            let groups = self.open_groups(chosen)?.into_iter();
            stack.push((chosen, groups));
        }
        Ok(())
    }

    fn choose(&self, from: Id, group: &Group<'_>, targets: &[Id]) -> Result<Id, SolveError> {
        let mut conflicts = Vec::new();
        for target in targets {
            match self.conflict(*target)? {
                None => return Ok(*target),
                Some(other) => conflicts.push(format!(
                    "{} conflicts with {}",
                    self.universe.name(*target),
                    self.chain(other).join(" → ")
                )),
            }
        }
        let need: Vec<String> = group.iter().map(ToString::to_string).collect();
        let why = if conflicts.is_empty() { "the archive has nothing that fits".into() } else { conflicts.join("; ") };
        Err(SolveError::Unmet { chain: self.chain(from), need: need.join(" | "), why })
    }

    /// From a request to `id`.
    fn chain(&self, id: Id) -> Vec<String> {
        let mut chain = vec![id];
        while let Some(before) = chain.last().and_then(|last| self.because.get(last)) {
            if chain.contains(before) {
                break;
            }
            chain.push(*before);
        }
        chain.into_iter().rev().map(|id| self.universe.name(id).to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use corten_oci::Architecture;

    use super::*;
    use crate::debian::Mirror;
    use crate::debian::index::Index;

    /// Packages by `name: further fields, separated by semicolons`.
    fn index(packages: &[(String, String)]) -> Index {
        let rest = "Version: 1\nArchitecture: all\nFilename: x.deb\nSize: 1\n\
            SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";
        let stanza = |(name, fields): &(String, String)| format!("Package: {name}\n{rest}{fields}\n\n");
        Index::parse(packages.iter().map(stanza).collect::<String>().as_bytes(), Architecture::Amd64).unwrap()
    }

    fn chosen(packages: &[(&str, &str)], wanted: &[&str]) -> Result<Vec<String>, SolveError> {
        let packages: Vec<(String, String)> = packages.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        many(&packages, wanted)
    }

    fn many(packages: &[(String, String)], wanted: &[&str]) -> Result<Vec<String>, SolveError> {
        let index = index(packages);
        let universe = Universe::new([(&index, Mirror::Main)]);
        let request = Request { wanted: wanted.to_vec(), ..Request::default() };
        Ok(solve(&universe, &request)?.into_iter().map(|id| universe.name(id).to_owned()).collect())
    }

    /// ffmpeg's first alternative is libavcodec59, which conflicts with what libavcodec-extra needs.
    #[test]
    fn an_alternative_that_conflicts_with_what_must_come_anyway_is_passed_over() {
        let packages = [
            ("ffmpeg", "Depends: codec | codec-extra"),
            ("codec", ""),
            ("codec-extra", "Conflicts: codec"),
            ("all-codecs", "Depends: codec-extra"),
        ];
        assert_eq!(chosen(&packages, &["ffmpeg"]).unwrap(), ["codec", "ffmpeg"]);
        assert_eq!(chosen(&packages, &["ffmpeg", "all-codecs"]).unwrap(), ["all-codecs", "codec-extra", "ffmpeg"]);
    }

    /// git runs Perl, and perl is links to what perl-base has.
    #[test]
    fn packages_beside_a_base_keep_the_programs_that_they_run() {
        let packages = [
            ("git", "Depends: perl, mawk | gawk"),
            ("perl", "Depends: perl-base (= 1), dpkg"),
            ("perl-base", "Pre-Depends: dpkg"),
            ("mawk", ""),
            ("dpkg", "Depends: tar"),
            ("tar", ""),
            ("dpkg-dev", "Depends: libdpkg-perl"),
            ("libdpkg-perl", "Depends: dpkg"),
            ("x11", "Depends: lsb-base, debconf (>= 1) | debconf-2.0"),
            ("lsb-base", "Depends: sysvinit-utils"),
            ("sysvinit-utils", ""),
            ("debconf", "Depends: perl-base"),
            ("adduser", "Depends: passwd"),
            ("passwd", ""),
        ];
        let packages: Vec<(String, String)> = packages.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        let index = index(&packages);
        let universe = Universe::new([(&index, Mirror::Main)]);
        let chosen = |name| {
            let request = Request { wanted: vec![name], cut: Cut::Scripts, ..Request::default() };
            solve(&universe, &request).unwrap().into_iter().map(|id| universe.name(id)).collect::<Vec<_>>()
        };
        assert_eq!(chosen("git"), ["git", "mawk", "perl", "perl-base"]);
        assert_eq!(chosen("x11"), ["x11"]);
        assert_eq!(chosen("dpkg-dev"), ["dpkg", "dpkg-dev", "libdpkg-perl", "tar"]);
        assert_eq!(chosen("adduser"), ["adduser", "passwd"]);
    }

    #[test]
    fn providers_come_by_importance_and_only_with_a_version_where_one_is_asked() {
        let packages = [
            ("a", "Depends: mail"),
            ("b", "Depends: mail (>= 2)"),
            ("exim", "Provides: mail\nPriority: optional"),
            ("postfix", "Provides: mail (= 3)\nPriority: extra"),
            ("sendmail", "Provides: mail\nPriority: standard"),
        ];
        assert_eq!(chosen(&packages, &["a"]).unwrap(), ["a", "sendmail"]);
        assert_eq!(chosen(&packages, &["b"]).unwrap(), ["b", "postfix"]);
    }

    #[test]
    fn the_error_tells_how_it_came_to_that() {
        let packages =
            [("top", "Depends: middle"), ("middle", "Depends: low (>= 2)"), ("low", ""), ("other", "Breaks: middle")];
        let error = chosen(&packages, &["top"]).unwrap_err().to_string();
        assert!(error.contains("top → middle needs low (>= 2), and the archive has nothing"), "{error}");
        let error = chosen(&packages, &["top", "other"]).unwrap_err().to_string();
        assert!(error.contains("other conflicts with top → middle"), "{error}");
    }

    #[test]
    fn circles_long_chains_and_many_alternatives_end() {
        let circle = [("a", "Depends: b"), ("b", "Pre-Depends: c"), ("c", "Depends: a")];
        assert_eq!(chosen(&circle, &["c"]).unwrap(), ["a", "b", "c"]);
        let chain = |length: usize| -> Vec<(String, String)> {
            (0..length).map(|at| (format!("p{at}"), format!("Depends: p{}", (at + 1) % length))).collect()
        };
        assert_eq!(many(&chain(5000), &["p0"]).unwrap().len(), 5000);
        assert_eq!(many(&chain(MAX_CHOSEN + 1), &["p0"]), Err(SolveError::TooMany));
        let alternatives: Vec<String> = (0..9000).map(|at| format!("none{at}")).collect();
        let wide =
            [("a".to_owned(), format!("Depends: {} | b", alternatives.join(" | "))), ("b".into(), String::new())];
        assert_eq!(many(&wide, &["a"]).unwrap(), ["a", "b"]);
    }
}
