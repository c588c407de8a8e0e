//! Are two markers the same condition? By trying: each variable takes the values that either marker names and one that
//! none names, versions also those just beside. Markers know only comparisons with constants, so this is exact but for
//! `in` with texts.

use super::{BTreeMap, BTreeSet, Cow, Facts, Node, Term, Variable, holds, minor};
use crate::pep440::Specifiers;

/// More combinations than this are not tried.
const LIMIT: usize = 200_000;

/// One variable of an imagined environment: a name of a set counts as a variable of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    Value(Variable),
    Member(Variable, String),
}

pub(super) fn same(left: &Node, right: &Node, python: &Specifiers) -> bool {
    let mut answers = BTreeMap::new();
    collect(left, &mut answers);
    collect(right, &mut answers);
    let bounds = python.iter().map(|bound| bound.version().to_string());
    if let Some(versions) = answers.get_mut(&Question::Value(Variable::PythonFullVersion)) {
        versions.extend(bounds);
    }
    let answers: Vec<(Question, Vec<String>)> =
        answers.into_iter().map(|(question, named)| (question.clone(), candidates(&question, named, python))).collect();
    let total = answers.iter().try_fold(1_usize, |total, (_, values)| total.checked_mul(values.len()));
    let Some(total) = total.filter(|total| *total <= LIMIT) else {
        return false;
    };
    (0..total).all(|number| {
        let facts = imagine(&answers, number);
        holds(left, &facts) == holds(right, &facts)
    })
}

/// `python_version` is part of `python_full_version`, `platform_system` and `os_name` follow from `sys_platform`.
fn collect(node: &Node, answers: &mut BTreeMap<Question, BTreeSet<String>>) {
    match node {
        Node::Or(parts) | Node::And(parts) => parts.iter().for_each(|part| collect(part, answers)),
        Node::Not(part) => collect(part, answers),
        Node::Compare { left: Term::Variable(variable), right: Term::Text(text), .. }
        | Node::Compare { left: Term::Text(text), right: Term::Variable(variable), .. } => {
            let question = match variable {
                Variable::PythonVersion => Question::Value(Variable::PythonFullVersion),
                Variable::PlatformSystem | Variable::OsName => Question::Value(Variable::SysPlatform),
                set if set.is_set() => Question::Member(*set, text.clone()),
                other => Question::Value(*other),
            };
            let named = match variable {
                Variable::PlatformSystem => system_to_platform(text).to_owned(),
                Variable::OsName if text == "nt" => "win32".to_owned(),
                Variable::OsName => return,
                _ => text.clone(),
            };
            answers.entry(question).or_default().insert(named);
        }
        Node::Compare { .. } => {}
    }
}

fn system_to_platform(system: &str) -> &str {
    SYSTEMS.iter().find(|(name, _)| *name == system).map_or(system, |(_, platform)| platform)
}

fn platform_to_system(platform: &str) -> &str {
    SYSTEMS.iter().find(|(_, name)| *name == platform).map_or(platform, |(system, _)| system)
}

/// `platform_system` and the `sys_platform` that goes with it.
const SYSTEMS: [(&str, &str); 3] = [("Linux", "linux"), ("Darwin", "darwin"), ("Windows", "win32")];

fn candidates(question: &Question, named: BTreeSet<String>, python: &Specifiers) -> Vec<String> {
    match question {
        Question::Member(..) => vec![String::new(), "yes".to_owned()],
        Question::Value(variable) if variable.is_version() => {
            let around: BTreeSet<_> = named.iter().flat_map(|version| beside(version)).collect();
            let allowed = |version: &String| version.parse().is_ok_and(|version| python.contains_prerelease(&version));
            let bounded = *variable == Variable::PythonFullVersion;
            around.into_iter().filter(|version| !bounded || allowed(version)).collect()
        }
        Question::Value(_) => named.into_iter().chain(["\u{0}".to_owned()]).collect(),
    }
}

/// Versions at and on both sides of `3.10` or `3.10.2`.
fn beside(text: &str) -> Vec<String> {
    let numbers: Vec<u64> = text.trim_end_matches(".*").split('.').map_while(|number| number.parse().ok()).collect();
    let at = |index: usize| numbers.get(index).copied().unwrap_or(0);
    let (major, minor, patch) = (at(0), at(1), at(2));
    let mut all = vec![
        format!("{major}.{minor}.0"),
        format!("{major}.{minor}.{patch}"),
        format!("{major}.{minor}.{}", patch.saturating_add(1)),
        format!("{major}.{}.0", minor.saturating_add(1)),
        format!("{}.0.0", major.saturating_add(1)),
    ];
    all.extend(minor.checked_sub(1).map(|before| format!("{major}.{before}.9")));
    all.extend(major.checked_sub(1).map(|before| format!("{before}.99.9")));
    all
}

struct Imagined<'a>(BTreeMap<&'a Question, &'a str>);

fn imagine(answers: &[(Question, Vec<String>)], mut number: usize) -> Imagined<'_> {
    let mut facts = BTreeMap::new();
    for (question, values) in answers {
        let value = values.get(number % values.len().max(1)).map_or("", String::as_str);
        number /= values.len().max(1);
        facts.insert(question, value);
    }
    Imagined(facts)
}

impl Facts for Imagined<'_> {
    fn value(&self, variable: Variable) -> Cow<'_, str> {
        let of = |variable| self.0.get(&Question::Value(variable)).copied().unwrap_or_default();
        match variable {
            Variable::PythonVersion => minor(of(Variable::PythonFullVersion)).into(),
            Variable::PlatformSystem => platform_to_system(of(Variable::SysPlatform)).into(),
            Variable::OsName if of(Variable::SysPlatform) == "win32" => "nt".into(),
            Variable::OsName => "posix".into(),
            other => of(other).into(),
        }
    }

    fn has(&self, set: Variable, name: &str) -> bool {
        self.0.get(&Question::Member(set, name.to_owned())).is_some_and(|answer| !answer.is_empty())
    }
}
