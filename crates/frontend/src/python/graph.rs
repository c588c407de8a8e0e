//! Which packages of a lock belong together, where the lock does not say (poetry.lock before 2.1, pdm.lock without
//! inherited metadata): from the project's own needs along the packages' needs.
//!
//! Such locks may hold one name several times. Then the needs choose, and where they leave a choice, the newest is taken,
//! as the tools do that solve such a lock again at each installation. A choice may turn out wrong only later, so this is
//! a search with steps back.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use corten_package::PackageName;
use corten_package::pep440::Version;

use super::constraint::Constraint;

/// How often a search may begin anew, about: each name that stands there more than once takes one, each step back one.
const WALKS: usize = 512;

/// What tools leave out of their locks, because every environment had it.
const LEFT_OUT: [&str; 4] = ["setuptools", "pip", "wheel", "distribute"];

/// A package of the lock, with what it needs on the platform at hand.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub version: Option<Version>,
    /// URL or path, where it is not from an index.
    pub origin: Option<String>,
    pub needs: Vec<Need>,
    /// What it needs besides, with all of these extras.
    pub extras: Vec<(BTreeSet<PackageName>, Vec<Need>)>,
}

/// That something is needed.
#[derive(Debug, Clone)]
pub(super) struct Need {
    pub name: PackageName,
    pub extras: BTreeSet<PackageName>,
    pub accepts: Accepts,
}

/// Which packages of that name will do.
#[derive(Debug, Clone)]
pub(super) enum Accepts {
    Versions(Constraint),
    /// The one from there.
    Origin(String),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stuck {
    /// `by` (none: the project) needs what is not there.
    Missing { by: Option<usize>, name: PackageName },
    /// `by` needs another version than others do, or than there is.
    Unfit { by: Option<usize>, name: PackageName },
    /// Too large.
    TooMuch,
}

/// The nodes of `names` that `roots` need, by index.
pub(super) fn solve(names: &[PackageName], nodes: &[Node], roots: &[Need]) -> Result<BTreeSet<usize>, Stuck> {
    let mut by_name: HashMap<&PackageName, Vec<usize>> = HashMap::new();
    for (at, name) in names.iter().enumerate().take(nodes.len()) {
        by_name.entry(name).or_default().push(at);
    }
    let needs = |node: &Node| node.needs.len() + node.extras.iter().map(|(_, needs)| needs.len()).sum::<usize>();
    let size = roots.len() + nodes.iter().map(needs).sum::<usize>();
    let mut search = Search { nodes, by_name, budget: size.saturating_add(100).saturating_mul(WALKS) };
    let mut stack: Vec<Open> = Vec::new();
    let mut first = None;
    loop {
        let chosen = stack.iter().filter_map(|open| Some((open.name.clone(), open.current()?))).collect();
        match search.walk(roots, &chosen) {
            Walk::Done(reached) => return Ok(reached),
            Walk::Choose(name, candidates) => stack.push(Open { name, candidates, at: 0 }),
            Walk::Stuck(Stuck::TooMuch) => return Err(Stuck::TooMuch),
            Walk::Stuck(stuck) => {
                let first = first.get_or_insert(stuck);
                if !step_back(&mut stack) {
                    return Err(first.clone());
                }
            }
        }
    }
}

/// A name of which one must be chosen, best first.
struct Open {
    name: PackageName,
    candidates: Vec<usize>,
    at: usize,
}

impl Open {
    fn current(&self) -> Option<usize> {
        self.candidates.get(self.at).copied()
    }
}

/// To the next candidate of the last choice that has one; `false` where none has.
fn step_back(stack: &mut Vec<Open>) -> bool {
    while let Some(open) = stack.last_mut() {
        open.at += 1;
        if open.current().is_some() {
            return true;
        }
        stack.pop();
    }
    false
}

enum Walk {
    Done(BTreeSet<usize>),
    Choose(PackageName, Vec<usize>),
    Stuck(Stuck),
}

struct Search<'a> {
    nodes: &'a [Node],
    by_name: HashMap<&'a PackageName, Vec<usize>>,
    /// Candidates that may still be looked at: in proportion to the lock, so that none takes for ever.
    budget: usize,
}

/// How far the choices so far lead.
#[derive(Default)]
struct Progress<'a> {
    reached: HashMap<&'a PackageName, usize>,
    extras: HashSet<(usize, &'a BTreeSet<PackageName>)>,
    queue: VecDeque<(Option<usize>, &'a [Need])>,
    /// What is needed and not yet chosen, with those that fit all needs so far.
    open: BTreeMap<&'a PackageName, (Vec<usize>, Vec<&'a Need>)>,
}

impl<'a> Search<'a> {
    fn walk(&mut self, roots: &'a [Need], chosen: &BTreeMap<PackageName, usize>) -> Walk {
        let mut progress = Progress { queue: VecDeque::from([(None, roots)]), ..Progress::default() };
        loop {
            while let Some((by, needs)) = progress.queue.pop_front() {
                for need in needs {
                    let cost = 1 + self.by_name.get(&need.name).map_or(0, Vec::len);
                    let Some(budget) = self.budget.checked_sub(cost) else { return Walk::Stuck(Stuck::TooMuch) };
                    self.budget = budget;
                    if let Err(stuck) = self.follow(need, by, chosen, &mut progress) {
                        return Walk::Stuck(stuck);
                    }
                }
            }
            let only = progress.open.iter().find(|(_, (candidates, _))| candidates.len() == 1);
            match only.map(|(name, (candidates, _))| (*name, candidates.first().copied())) {
                Some((name, Some(at))) => self.take(name, at, &mut progress),
                _ => return self.next_choice(progress),
            }
        }
    }

    fn follow(
        &self,
        need: &'a Need,
        by: Option<usize>,
        chosen: &BTreeMap<PackageName, usize>,
        progress: &mut Progress<'a>,
    ) -> Result<(), Stuck> {
        let name = &need.name;
        let Some(all) = self.by_name.get(name) else {
            let silent = by.is_some() && LEFT_OUT.contains(&name.as_str());
            return if silent { Ok(()) } else { Err(Stuck::Missing { by, name: name.clone() }) };
        };
        let mut candidates = self.candidates(all, &need.accepts);
        if let Some(at) = progress.reached.get(name).or_else(|| chosen.get(name)) {
            candidates.retain(|candidate| candidate == at);
        } else if let Some((fitting, _)) = progress.open.get(name) {
            candidates.retain(|candidate| fitting.contains(candidate));
        }
        let Some(first) = candidates.first().copied() else {
            return Err(Stuck::Unfit { by, name: name.clone() });
        };
        let waiting = progress.open.entry(name).or_default();
        let alone = candidates.len() == 1;
        waiting.0 = candidates;
        waiting.1.push(need);
        if alone {
            self.take(name, first, progress);
        }
        Ok(())
    }

    /// Settles on a package; what it needs comes next.
    fn take(&self, name: &'a PackageName, at: usize, progress: &mut Progress<'a>) {
        let (_, needs) = progress.open.remove(name).unwrap_or_default();
        let Some(node) = self.nodes.get(at) else { return };
        if progress.reached.insert(name, at).is_none() {
            progress.queue.push_back((Some(at), &node.needs));
        }
        for need in needs.into_iter().filter(|need| !need.extras.is_empty()) {
            if progress.extras.insert((at, &need.extras)) {
                let wanted = node.extras.iter().filter(|(names, _)| names.is_subset(&need.extras));
                progress.queue.extend(wanted.map(|(_, needs)| (Some(at), needs.as_slice())));
            }
        }
    }

    /// Of what is open, a name that nothing else that is open may need: who needs is chosen before what is needed.
    fn next_choice(&self, progress: Progress<'a>) -> Walk {
        let needs = |at: &usize| self.nodes.get(*at).map(|node| node.needs.as_slice()).unwrap_or_default();
        let needed: HashSet<&PackageName> = progress
            .open
            .iter()
            .flat_map(|(name, (candidates, _))| candidates.iter().flat_map(needs).map(move |need| (*name, &need.name)))
            .filter(|(by, name)| by != name)
            .map(|(_, name)| name)
            .collect();
        let first = progress.open.keys().find(|name| !needed.contains(*name)).or(progress.open.keys().next()).copied();
        match first.and_then(|name| Some((name, progress.open.get(name)?))) {
            Some((name, (candidates, _))) => Walk::Choose(name.clone(), candidates.clone()),
            None => Walk::Done(progress.reached.into_values().collect()),
        }
    }

    /// Those that will do, newest first, those of an index before others.
    fn candidates(&self, all: &[usize], accepts: &Accepts) -> Vec<usize> {
        let nodes = || all.iter().filter_map(|at| Some((*at, self.nodes.get(*at)?)));
        let mut fitting: Vec<(usize, &Node)> = match accepts {
            Accepts::Versions(wanted) => {
                nodes().filter(|(_, node)| node.version.as_ref().is_none_or(|version| wanted.allows(version))).collect()
            }
            Accepts::Origin(origin) => nodes().filter(|(_, node)| node.origin.as_ref() == Some(origin)).collect(),
        };
        if fitting.is_empty() && matches!(accepts, Accepts::Origin(_)) {
            fitting = nodes().filter(|(_, node)| node.origin.is_some()).collect();
        }
        fitting.sort_by(|(_, left), (_, right)| {
            right.version.cmp(&left.version).then_with(|| left.origin.cmp(&right.origin))
        });
        fitting.into_iter().map(|(at, _)| at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> PackageName {
        PackageName::new(text).unwrap()
    }

    /// `name`, `name[extra] ^1`, `name @ origin`.
    fn need(text: &str) -> Need {
        let (left, right) = text.split_once(' ').unwrap_or((text, "*"));
        let (bare, extra) = left.split_once('[').unwrap_or((left, ""));
        let extras = extra.strip_suffix(']').map(name).into_iter().collect();
        let accepts = match right.strip_prefix("@ ") {
            Some(origin) => Accepts::Origin(origin.to_owned()),
            None => Accepts::Versions(Constraint::parse(right).unwrap()),
        };
        Need { name: name(bare), extras, accepts }
    }

    fn needs(texts: &str) -> Vec<Need> {
        texts.split("; ").filter(|text| !text.is_empty()).map(need).collect()
    }

    /// Each line: `name version needs`, or `name[extra] version needs` for what an extra brings.
    fn solved(lines: &[&str], roots: &str) -> Result<Vec<String>, Stuck> {
        let (mut names, mut nodes): (Vec<PackageName>, Vec<Node>) = (Vec::new(), Vec::new());
        for line in lines {
            let mut words = line.splitn(3, ' ');
            let (left, version) = (words.next().unwrap(), words.next().unwrap());
            let needs = needs(words.next().unwrap_or(""));
            if let Some((_, extra)) = left.split_once('[') {
                nodes.last_mut().unwrap().extras.push(([name(extra.trim_end_matches(']'))].into(), needs));
                continue;
            }
            let (version, origin) =
                version.split_once('@').map_or((version, None), |(version, at)| (version, Some(at)));
            names.push(name(left));
            let origin = origin.map(str::to_owned);
            nodes.push(Node { version: version.parse().ok(), origin, needs, extras: Vec::new() });
        }
        let reached = solve(&names, &nodes, &needs(roots))?;
        let text = |at: &usize| format!("{} {}", names[*at], nodes[*at].version.as_ref().unwrap());
        let mut all: Vec<_> = reached.iter().map(text).collect();
        all.sort();
        Ok(all)
    }

    #[test]
    fn only_what_is_needed_is_taken() {
        let lock = ["a 1 b", "b 1", "b[x] 1 c", "c 1", "d 1 a"];
        assert_eq!(solved(&lock, "a").unwrap(), ["a 1", "b 1"]);
        assert_eq!(solved(&lock, "a; b[x]").unwrap(), ["a 1", "b 1", "c 1"]);
        assert_eq!(solved(&["a 1 b", "b 1 a"], "a").unwrap(), ["a 1", "b 1"], "a circle");
        assert_eq!(solved(&["a 1 setuptools"], "a").unwrap(), ["a 1"]);
    }

    #[test]
    fn needs_choose_among_versions_and_step_back() {
        let lock = ["a 1 c <2", "b 2 c", "b 1", "c 2", "c 1", "torch 2.0", "torch 1.0+cpu@u"];
        assert_eq!(solved(&lock, "b ; a".replace(" ;", ";").as_str()).unwrap(), ["a 1", "b 2", "c 1"]);
        assert_eq!(solved(&lock, "c; a").unwrap(), ["a 1", "c 1"], "2 comes first and does not fit a");
        assert_eq!(solved(&lock, "torch").unwrap(), ["torch 2.0"]);
        assert_eq!(solved(&lock, "torch; torch @ u").unwrap(), ["torch 1.0+cpu"]);
    }

    /// What is needed by one of several versions is not chosen before that one is.
    #[test]
    fn the_newest_of_what_needs_wins_over_the_newest_of_what_is_needed() {
        let lock = ["app 1 lib; torch", "lib 1 sympy", "sympy 2", "sympy 1", "torch 2 sympy <2", "torch 1 sympy"];
        assert_eq!(solved(&lock, "app").unwrap(), ["app 1", "lib 1", "sympy 1", "torch 2"]);
    }

    #[test]
    fn what_does_not_fit_names_who_needs_it() {
        let lock = ["a 1 c <1", "b 1 nope", "c 2", "c 1"];
        assert_eq!(solved(&lock, "a"), Err(Stuck::Unfit { by: Some(0), name: name("c") }));
        assert_eq!(solved(&lock, "b"), Err(Stuck::Missing { by: Some(1), name: name("nope") }));
        assert_eq!(solved(&lock, "zzz"), Err(Stuck::Missing { by: None, name: name("zzz") }));
    }

    /// 2^40 combinations, none of which fits; only the last choice shows it.
    #[test]
    fn a_lock_made_to_be_searched_for_ever_ends() {
        let mut lines: Vec<String> = Vec::new();
        for at in 10..50 {
            let needs = if at == 49 { "last" } else { "" };
            lines.extend([format!("n{at} 1 {needs}"), format!("n{at} 2 {needs}")]);
        }
        lines.push("last 1 gone".to_owned());
        let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
        let roots: Vec<String> = (10..50).map(|at| format!("n{at}")).collect();
        assert_eq!(solved(&lines, &roots.join("; ")), Err(Stuck::TooMuch));
    }
}
