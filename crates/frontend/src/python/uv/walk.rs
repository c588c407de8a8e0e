//! From what was asked to the packages of the lock.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use corten_diagnostic::Failure;
use corten_package::PackageName;
use corten_package::marker::{self, Environment};
use corten_package::pep440::{Specifiers, Version};

use super::super::lock::{did_you_mean, named};
use super::super::resolved::{FileText, locked_file, unquote};
use super::super::{Asked, Files, GitSource, LocalProject, LockText, LockedFrom, Manifest, Resolved, Wanted};
use super::format::{Conflict, Edge, File, Lock, MetadataRequirement, Package};

pub(super) fn resolve(
    lock: &LockText,
    parsed: &Lock,
    manifest: Option<&Manifest>,
    asked: &Asked,
    environment: &Environment,
) -> Result<Resolved, Failure> {
    let requires_python = check_target(lock, parsed, environment)?;
    let roots = find_roots(lock, parsed, asked)?;
    let choice = Choice::new(lock, parsed, &roots, manifest, asked)?;
    let graph = Graph { lock, parsed, environment, by_name: by_name(lock, parsed)? };
    let reached = graph.walk_until_stable(&roots, &choice)?;
    check_single(lock, parsed, &reached)?;
    let mut resolved = collect(lock, parsed, &reached)?;
    if roots.iter().all(|root| nothing_asked(parsed, *root, &choice)) && parsed.packages.len() > roots.len() {
        resolved.warnings.push(format!(
            "{}: the project itself depends on nothing, so nothing is installed; ask for a member of the workspace",
            lock.path.display()
        ));
    }
    resolved.requires_python = requires_python;
    resolved.groups = choice.groups.iter().map(PackageName::to_string).collect();
    resolved.groups_left_out = choice.left_out.iter().map(PackageName::to_string).collect();
    Ok(resolved)
}

fn nothing_asked(parsed: &Lock, root: usize, choice: &Choice) -> bool {
    parsed.packages.get(root).is_some_and(|package| {
        let group = choice.groups.iter().any(|group| package.dev_dependencies.contains_key(group));
        package.dependencies.is_empty() && choice.extras.is_empty() && !group
    })
}

/// Is the target among what the lock was made for?
fn check_target(lock: &LockText, parsed: &Lock, environment: &Environment) -> Result<Option<Specifiers>, Failure> {
    let mut wanted = None;
    if let Some(text) = &parsed.requires_python {
        let specifiers: Specifiers =
            text.get_ref().parse().map_err(|error| lock.failure(error).at(lock.span(text.span())))?;
        lock.check_python(&specifiers, text.span(), environment)?;
        wanted = Some(specifiers);
    }
    if let Some(supported) = parsed.supported_markers.as_ref().filter(|supported| !supported.get_ref().is_empty()) {
        let mut holds = false;
        for text in supported.get_ref() {
            holds |= lock.marker(text, supported.span())?.evaluate(environment, &marker::Asked::default());
        }
        if !holds {
            let what = format!(
                "it was not made for Linux on {} with Python {}",
                environment.architecture.machine(),
                environment.python_full_version
            );
            let failure = lock.failure(what).at(lock.span(supported.span()));
            return Err(failure.hint("add the target to tool.uv.environments in pyproject.toml and lock again"));
        }
    }
    Ok(wanted)
}

/// The project, the member that was asked for, or all members where the workspace has no project of its own.
fn find_roots(lock: &LockText, parsed: &Lock, asked: &Asked) -> Result<Vec<usize>, Failure> {
    let local = |package: &Package| package.source.folder().map(|(folder, _)| folder.to_owned());
    let members: Vec<usize> = (0..parsed.packages.len())
        .filter(|at| {
            parsed.packages.get(*at).is_some_and(|package| {
                let listed = parsed.manifest.members.contains(package.name.get_ref());
                local(package).is_some() && (listed || parsed.manifest.members.is_empty())
            })
        })
        .collect();
    let name = |at: &usize| parsed.packages.get(*at).map_or("", |package| package.name.get_ref().as_str());
    if let Some(wanted) = &asked.package {
        let normal = PackageName::new(wanted).map_err(|error| Failure::usage(error.to_string()))?;
        return match members.iter().find(|at| name(at) == normal.as_str()) {
            Some(at) => Ok(vec![*at]),
            None => Err(Failure::usage(format!("{}: it has no member '{wanted}'", lock.path.display()))
                .hint(did_you_mean(wanted, members.iter().map(name)))),
        };
    }
    let own = |at: &usize| parsed.packages.get(*at).and_then(local).is_some_and(|folder| folder == ".");
    match members.iter().find(|at| own(at)) {
        Some(at) => Ok(vec![*at]),
        None if members.is_empty() => {
            Err(lock.failure("no package of it is the project (source 'editable' or 'virtual')").at(lock.span(0..0)))
        }
        None => Ok(members),
    }
}

/// What of the roots was asked for.
struct Choice {
    extras: BTreeSet<PackageName>,
    groups: BTreeSet<PackageName>,
    left_out: BTreeSet<PackageName>,
}

impl Choice {
    fn new(
        lock: &LockText,
        parsed: &Lock,
        roots: &[usize],
        manifest: Option<&Manifest>,
        asked: &Asked,
    ) -> Result<Self, Failure> {
        let roots: Vec<&Package> = roots.iter().filter_map(|at| parsed.packages.get(*at)).collect();
        let (known_extras, known_groups) = known(parsed, &roots);
        let extras = named(lock, "extra", &asked.extras, &known_extras)?;
        let mut groups = named(lock, "dependency group", &asked.groups, &known_groups)?;
        if !asked.no_default_groups {
            groups.extend(manifest.map(|manifest| manifest.default_groups(&known_groups)).unwrap_or_default());
        }
        let left_out = known_groups.difference(&groups).cloned().collect();
        let choice = Self { extras, groups, left_out };
        choice.check_conflicts(lock, parsed, &roots)?;
        Ok(choice)
    }

    fn has(&self, conflict: &Conflict, roots: &[&Package]) -> bool {
        let root = roots.iter().any(|root| *root.name.get_ref() == conflict.package);
        let extra = conflict.extra.as_ref().is_none_or(|extra| self.extras.contains(extra));
        root && extra && conflict.group.as_ref().is_none_or(|group| self.groups.contains(group))
    }

    fn check_conflicts(&self, lock: &LockText, parsed: &Lock, roots: &[&Package]) -> Result<(), Failure> {
        let Some(conflicts) = &parsed.conflicts else { return Ok(()) };
        for set in conflicts.get_ref() {
            let both: Vec<_> = set.iter().filter(|conflict| self.has(conflict, roots)).map(describe).collect();
            if both.len() > 1 {
                let failure = lock.failure(format!("{} exclude each other", both.join(" and ")));
                return Err(failure.at(lock.span(conflicts.span())).hint("ask for one of them only"));
            }
        }
        Ok(())
    }
}

fn describe(conflict: &Conflict) -> String {
    match (&conflict.extra, &conflict.group) {
        (Some(extra), _) => format!("the extra '{extra}'"),
        (_, Some(group)) => format!("the group '{group}'"),
        _ => format!("the package '{}'", conflict.package),
    }
}

type Names = BTreeSet<PackageName>;

fn known(parsed: &Lock, roots: &[&Package]) -> (Names, Names) {
    let mut extras = Names::new();
    let mut groups: Names = parsed.manifest.dependency_groups.keys().cloned().collect();
    for root in roots {
        extras.extend(root.optional_dependencies.keys().cloned());
        groups.extend(root.dev_dependencies.keys().cloned());
        if let Some(metadata) = &root.metadata {
            extras.extend(metadata.provides_extras.iter().cloned());
            groups.extend(metadata.requires_dev.keys().cloned());
        }
    }
    (extras, groups)
}

/// Entries of one name; each edge to it looks at all of them. Forks of a resolution make a dozen.
const SAME_NAME: usize = 1000;

fn by_name<'a>(lock: &LockText, parsed: &'a Lock) -> Result<HashMap<&'a str, Vec<usize>>, Failure> {
    let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, package) in parsed.packages.iter().enumerate() {
        let same = by_name.entry(package.name.get_ref().as_str()).or_default();
        same.push(at);
        if same.len() > SAME_NAME {
            let what = format!("it has more than {SAME_NAME} entries of '{}'", package.name.get_ref());
            return Err(lock.failure(what).at(lock.span(package.name.span())));
        }
    }
    Ok(by_name)
}

struct Graph<'a> {
    lock: &'a LockText,
    parsed: &'a Lock,
    environment: &'a Environment,
    by_name: HashMap<&'a str, Vec<usize>>,
}

/// What a walk has reached: packages, and extras of them.
#[derive(Default)]
struct Reached<'a> {
    packages: BTreeSet<usize>,
    extras: HashSet<(usize, &'a PackageName)>,
}

impl<'a> Graph<'a> {
    /// Conflict markers ask which extras are active, also those that edges bring in: walk until no more become so.
    fn walk_until_stable(&self, roots: &[usize], choice: &'a Choice) -> Result<Reached<'a>, Failure> {
        let mut active = self.active(roots, choice);
        for _ in 0..16 {
            let reached = self.walk(roots, choice, &active)?;
            let before = active.extras.len();
            for (at, extra) in &reached.extras {
                if let (Some(package), true) = (self.parsed.packages.get(*at), self.parsed.conflicts.is_some()) {
                    active.extras.extend(conflict_name("extra", package.name.get_ref(), Some(extra)));
                }
            }
            if active.extras.len() == before {
                return Ok(reached);
            }
        }
        Err(self.lock.failure("which extras are active does not settle").at(self.lock.span(0..0)))
    }

    fn active(&self, roots: &[usize], choice: &Choice) -> marker::Asked {
        let mut extras = BTreeSet::new();
        for root in roots.iter().filter_map(|at| self.parsed.packages.get(*at)) {
            let name = root.name.get_ref();
            extras.extend(conflict_name("project", name, None));
            extras.extend(choice.extras.iter().filter_map(|extra| conflict_name("extra", name, Some(extra))));
            extras.extend(choice.groups.iter().filter_map(|group| conflict_name("group", name, Some(group))));
        }
        marker::Asked { extras, groups: BTreeSet::new() }
    }

    fn walk(&self, roots: &[usize], choice: &'a Choice, active: &marker::Asked) -> Result<Reached<'a>, Failure> {
        let mut reached = Reached::default();
        let mut queue = VecDeque::new();
        for root in roots {
            reached.packages.insert(*root);
            let Some(package) = self.parsed.packages.get(*root) else { continue };
            queue.push_back((package, &package.dependencies));
            for extra in &choice.extras {
                self.push_extra(*root, extra, &mut reached, &mut queue);
            }
            let groups = choice.groups.iter().filter_map(|group| package.dev_dependencies.get(group));
            queue.extend(groups.map(|edges| (package, edges)));
        }
        let by_hand: Vec<_> = choice
            .groups
            .iter()
            .filter_map(|group| self.parsed.manifest.dependency_groups.get(group))
            .flatten()
            .collect();
        for requirement in by_hand {
            self.push_requirement(requirement, active, &mut reached, &mut queue)?;
        }
        while let Some((package, edges)) = queue.pop_front() {
            for edge in edges {
                if self.holds(edge.marker.as_deref(), package, active)? {
                    let at = self.target(package, edge)?;
                    self.reach(at, &edge.extra, &mut reached, &mut queue);
                }
            }
        }
        Ok(reached)
    }

    fn reach(
        &self,
        at: usize,
        extras: &'a [PackageName],
        reached: &mut Reached<'a>,
        queue: &mut VecDeque<(&'a Package, &'a Vec<Edge>)>,
    ) {
        if let (true, Some(package)) = (reached.packages.insert(at), self.parsed.packages.get(at)) {
            queue.push_back((package, &package.dependencies));
        }
        for extra in extras {
            self.push_extra(at, extra, reached, queue);
        }
    }

    fn push_extra(
        &self,
        at: usize,
        extra: &'a PackageName,
        reached: &mut Reached<'a>,
        queue: &mut VecDeque<(&'a Package, &'a Vec<Edge>)>,
    ) {
        let Some(package) = self.parsed.packages.get(at) else { return };
        if reached.extras.insert((at, extra))
            && let Some(edges) = package.optional_dependencies.get(extra)
        {
            queue.push_back((package, edges));
        }
    }

    /// Groups of a workspace without a project stand in `[manifest]` as requirements, not as edges.
    fn push_requirement(
        &self,
        requirement: &'a MetadataRequirement,
        active: &marker::Asked,
        reached: &mut Reached<'a>,
        queue: &mut VecDeque<(&'a Package, &'a Vec<Edge>)>,
    ) -> Result<(), Failure> {
        let marker = requirement.marker.as_deref().map(|text| self.lock.marker(text, 0..0)).transpose()?;
        if marker.is_some_and(|marker| !marker.evaluate(self.environment, active)) {
            return Ok(());
        }
        let wanted: Specifiers = requirement.specifier.as_deref().unwrap_or_default().parse().unwrap_or_default();
        let fits = |at: &&usize| {
            let version = self.parsed.packages.get(**at).and_then(|package| package.version.as_deref());
            version
                .and_then(|text| text.parse().ok())
                .is_none_or(|version: Version| wanted.contains_prerelease(&version))
        };
        let candidates = self.by_name.get(requirement.name.as_str()).into_iter().flatten().filter(fits);
        match candidates.collect::<Vec<_>>().as_slice() {
            [at] => {
                self.reach(**at, &requirement.extras, reached, queue);
                Ok(())
            }
            _ => Err(self.lock.failure(format!("its group needs {}, which cannot be told from it", requirement.name))),
        }
    }

    fn holds(&self, marker: Option<&str>, package: &Package, active: &marker::Asked) -> Result<bool, Failure> {
        let Some(text) = marker else { return Ok(true) };
        Ok(self.lock.marker(text, package.name.span())?.evaluate(self.environment, active))
    }

    fn target(&self, from: &Package, edge: &Edge) -> Result<usize, Failure> {
        let fits = |at: &&usize| {
            self.parsed.packages.get(**at).is_some_and(|package| {
                edge.version.as_ref().is_none_or(|version| package.version.as_ref() == Some(version))
                    && edge.source.as_ref().is_none_or(|source| package.source == *source)
            })
        };
        let found: Vec<_> = self.by_name.get(edge.name.as_str()).into_iter().flatten().filter(fits).collect();
        match found.as_slice() {
            [at] => Ok(**at),
            others => {
                let what = if others.is_empty() { "it holds none" } else { "it holds more than one" };
                let message = format!("'{}' depends on '{}', but of that {what}", from.name.get_ref(), edge.name);
                let failure = self.lock.failure(message).at(self.lock.span(from.name.span()));
                Err(failure.hint("lock again: the file was changed by hand or by a merge"))
            }
        }
    }
}

/// How uv writes an extra, a group or a project of `package` in conflict markers: the number is the name's length.
fn conflict_name(kind: &str, package: &PackageName, what: Option<&PackageName>) -> Option<PackageName> {
    let mut text = format!("{kind}-{}-{package}", package.as_str().len());
    if let Some(what) = what {
        text.push('-');
        text.push_str(what.as_str());
    }
    PackageName::new(&text).ok()
}

/// Two entries of one name cannot be installed together.
fn check_single(lock: &LockText, parsed: &Lock, reached: &Reached<'_>) -> Result<(), Failure> {
    let mut seen: BTreeMap<&PackageName, &Package> = BTreeMap::new();
    for package in reached.packages.iter().filter_map(|at| parsed.packages.get(*at)) {
        if let Some(other) = seen.insert(package.name.get_ref(), package) {
            let version = |package: &Package| package.version.clone().unwrap_or_else(|| "without version".into());
            let what = format!(
                "two entries of '{}' apply at once: {} and {}",
                package.name.get_ref(),
                version(other),
                version(package)
            );
            let failure = lock.failure(what).at(lock.span(package.name.span()));
            return Err(failure.hint("ask for one of the extras or groups that bring them in, or lock again"));
        }
    }
    Ok(())
}

fn collect(lock: &LockText, parsed: &Lock, reached: &Reached<'_>) -> Result<Resolved, Failure> {
    let mut resolved = Resolved::default();
    for package in reached.packages.iter().filter_map(|at| parsed.packages.get(*at)) {
        let (name, at) = (package.name.get_ref().clone(), lock.span(package.name.span()));
        if let Some((folder, is_package)) = package.source.folder() {
            resolved.local.push(LocalProject { name, path: folder.to_owned(), package: is_package, at: Some(at) });
            continue;
        }
        let version = package.version.as_deref().map(str::parse::<Version>).transpose();
        let version = version.map_err(|error| lock.failure(error).at(lock.span(package.name.span())))?;
        let files: Vec<_> =
            package.sdist.iter().chain(&package.wheels).filter_map(|file| file_of(package, file)).collect();
        if files.iter().any(|file| file.digest.is_none() && file.file.ends_with(".whl")) {
            resolved.warnings.push(format!(
                "{}: it names no SHA-256 of {name}: what is fetched is not checked",
                lock.path.display()
            ));
        }
        resolved.wanted.push(Wanted {
            name,
            version,
            files: Files::Known(files),
            index: package.source.registry.clone(),
            from: from(package),
            at,
        });
    }
    resolved.wanted.sort_by(|left, right| left.name.cmp(&right.name));
    resolved.local.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(resolved)
}

fn file_of(package: &Package, file: &File) -> Option<super::super::LockFile> {
    let source = &package.source;
    // Those of an index that is a folder are named from there.
    let in_index = source.registry.as_deref().filter(|index| !index.contains("://")).zip(file.path.as_deref());
    let in_index = in_index.map(|(index, path)| format!("{}/{path}", index.trim_end_matches('/')));
    let own = in_index.as_deref().or(file.path.as_deref());
    let url = file.url.as_deref().or(own).or(source.url.as_deref()).or(source.path.as_deref());
    locked_file(&FileText { url: url?, name: file.filename.as_deref(), hash: file.hash.as_deref(), size: file.size })
}

fn from(package: &Package) -> LockedFrom {
    let source = &package.source;
    if let Some(git) = &source.git {
        let (address, commit) = git.split_once('#').unwrap_or((git, ""));
        let (url, query) = address.split_once('?').unwrap_or((address, ""));
        let folder = query.split('&').find_map(|part| part.strip_prefix("subdirectory="));
        let subdirectory = folder.or(source.subdirectory.as_deref()).and_then(unquote);
        return LockedFrom::Git(GitSource { url: url.to_owned(), commit: commit.to_owned(), subdirectory });
    }
    match (&source.url, &source.path) {
        (Some(url), _) => LockedFrom::Url(url.clone()),
        (_, Some(path)) => LockedFrom::File(path.clone()),
        _ => LockedFrom::Registry,
    }
}
