//! Conditions on the environment (PEP 508, PEP 751): `sys_platform == "linux" and python_version < "3.12"`.
//!
//! `extra` is a set here, as in uv and PEP 751: `extra == "x"` asks whether `x` was asked for. That covers uv's conflict
//! markers, whose names are the extras `extra-5-torch-cpu` and `group-5-torch-dev` of nobody's package.
//!
//! Two markers can be compared by meaning ([`Marker::is_equivalent`]), because tools rewrite them: uv turns
//! `python_version >= "3.10"` into `python_full_version >= '3.10'` and reorders `and` and `or`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use corten_oci::Architecture;

use crate::PackageName;
use crate::pep440::{Operator, Specifier, Specifiers, Version};
use crate::text::abridged;

mod equivalent;
mod parse;

/// A condition, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker(Node);

/// `or` of `and`s of comparisons, as deep as written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Or(Vec<Node>),
    And(Vec<Node>),
    /// Cannot be written; comes from [`Marker::negated`].
    Not(Box<Node>),
    Compare {
        left: Term,
        comparison: Comparison,
        right: Term,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Variable(Variable),
    Text(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Version(Operator),
    In,
    NotIn,
}

/// What a marker can ask about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Variable {
    ImplementationName,
    ImplementationVersion,
    OsName,
    PlatformMachine,
    PlatformPythonImplementation,
    PlatformRelease,
    PlatformSystem,
    PlatformVersion,
    PythonFullVersion,
    PythonVersion,
    SysPlatform,
    Extra,
    Extras,
    Groups,
}

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is not an environment marker: {}", abridged(.text), abridged(.reason))]
pub struct MarkerError {
    /// As written.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What markers ask about a platform: CPython on Linux with the GNU C library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// `3.11.2`.
    pub python_full_version: String,
    /// Processor.
    pub architecture: Architecture,
}

/// What was asked for: extras (uv's `extra-5-torch-cpu` and `group-5-torch-dev` forms among them) and groups.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// What `extra == "x"` and `"x" in extras` are about.
    pub extras: BTreeSet<PackageName>,
    /// What `"x" in dependency_groups` is about.
    pub groups: BTreeSet<PackageName>,
}

impl Environment {
    /// `full_version` as `3.11.2`.
    pub fn new(full_version: impl Into<String>, architecture: Architecture) -> Self {
        Self { python_full_version: full_version.into(), architecture }
    }

    /// `3.11`.
    pub fn python_version(&self) -> String {
        minor(&self.python_full_version)
    }

    fn value(&self, variable: Variable) -> Cow<'_, str> {
        match variable {
            Variable::ImplementationName => "cpython".into(),
            Variable::OsName => "posix".into(),
            Variable::PlatformMachine => self.architecture.machine().into(),
            Variable::PlatformPythonImplementation => "CPython".into(),
            Variable::PlatformSystem => "Linux".into(),
            Variable::SysPlatform => "linux".into(),
            Variable::PythonVersion => self.python_version().into(),
            Variable::PythonFullVersion | Variable::ImplementationVersion => self.python_full_version.as_str().into(),
            // Of the kernel that will run the image: nobody can know it.
            Variable::PlatformRelease | Variable::PlatformVersion => "".into(),
            Variable::Extra | Variable::Extras | Variable::Groups => "".into(),
        }
    }
}

fn minor(full_version: &str) -> String {
    full_version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
}

impl Marker {
    /// Does it hold? `asked` is `Default` where no extras or groups are in play.
    pub fn evaluate(&self, environment: &Environment, asked: &Asked) -> bool {
        holds(&self.0, &Known { environment, asked })
    }

    /// Do both hold in the same environments? Tried on every combination of the values that either names and of one
    /// more each; `false` where that would be too many.
    pub fn is_equivalent(&self, other: &Self) -> bool {
        self == other || equivalent::same(&self.0, &other.0, &Specifiers::default())
    }
}

/// Does one of `left` hold wherever one of `right` holds and the other way round, for Pythons within `python`? `None`
/// always holds; an empty list never does.
pub fn same_union(left: &[Option<&Marker>], right: &[Option<&Marker>], python: &Specifiers) -> bool {
    let always = || Node::And(Vec::new());
    let union = |markers: &[Option<&Marker>]| {
        Node::Or(markers.iter().map(|marker| marker.map_or_else(always, |marker| marker.0.clone())).collect())
    };
    left == right || equivalent::same(&union(left), &union(right), python)
}

impl Marker {
    /// Both conditions in one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(Node::And(vec![self.0, other.0]))
    }

    /// Holds where this does not. For comparing ([`same_union`]), not for writing.
    #[must_use]
    pub fn negated(self) -> Self {
        Self(Node::Not(Box::new(self.0)))
    }

    /// Holds for the Pythons that `wanted` allows.
    pub fn python(wanted: &Specifiers) -> Self {
        let compare = |specifier: &Specifier| Node::Compare {
            left: Term::Variable(Variable::PythonFullVersion),
            comparison: Comparison::Version(specifier.operator()),
            right: Term::Text(specifier.to_string().trim_start_matches(specifier.operator().text()).to_owned()),
        };
        Self(Node::And(wanted.iter().map(compare).collect()))
    }

    /// Holds where the extra `name` is asked for.
    pub fn extra(name: &PackageName) -> Self {
        let left = Term::Variable(Variable::Extra);
        let right = Term::Text(name.to_string());
        Self(Node::Compare { left, comparison: Comparison::Version(Operator::Equal), right })
    }
}

/// Who answers a marker's questions.
trait Facts {
    fn value(&self, variable: Variable) -> Cow<'_, str>;
    fn has(&self, set: Variable, name: &str) -> bool;
}

struct Known<'a> {
    environment: &'a Environment,
    asked: &'a Asked,
}

impl Facts for Known<'_> {
    fn value(&self, variable: Variable) -> Cow<'_, str> {
        self.environment.value(variable)
    }

    fn has(&self, set: Variable, name: &str) -> bool {
        let set = if set == Variable::Groups { &self.asked.groups } else { &self.asked.extras };
        set.contains(name) || PackageName::new(name).is_ok_and(|name| set.contains(&name))
    }
}

fn holds(node: &Node, facts: &dyn Facts) -> bool {
    match node {
        Node::Or(parts) => parts.iter().any(|part| holds(part, facts)),
        Node::And(parts) => parts.iter().all(|part| holds(part, facts)),
        Node::Not(part) => !holds(part, facts),
        Node::Compare { left, comparison, right } => compare(left, *comparison, right, facts),
    }
}

fn compare(left: &Term, comparison: Comparison, right: &Term, facts: &dyn Facts) -> bool {
    match (left, right) {
        (Term::Variable(set), Term::Text(name)) | (Term::Text(name), Term::Variable(set)) if set.is_set() => {
            let negated = matches!(comparison, Comparison::NotIn | Comparison::Version(Operator::NotEqual));
            facts.has(*set, name) != negated
        }
        _ => {
            let variable = [left, right].into_iter().find_map(Term::variable);
            let value = |term: &Term| match term {
                Term::Variable(variable) => facts.value(*variable).into_owned(),
                Term::Text(text) => text.clone(),
            };
            compare_values(&value(left), comparison, &value(right), variable.is_some_and(Variable::is_version))
        }
    }
}

/// PEP 508: as versions if the variable holds one and the right side is one, else as text; text knows no order.
fn compare_values(left: &str, comparison: Comparison, right: &str, versions: bool) -> bool {
    let operator = match comparison {
        Comparison::In => return right.contains(left),
        Comparison::NotIn => return !right.contains(left),
        Comparison::Version(operator) => operator,
    };
    if versions && let (Ok(specifier), Ok(version)) = (Specifier::new(operator, right), left.parse::<Version>()) {
        return specifier.matches(&version);
    }
    match operator {
        Operator::Equal | Operator::AtMost | Operator::AtLeast | Operator::Same => left == right,
        Operator::NotEqual => left != right,
        Operator::Less | Operator::Greater | Operator::Compatible => false,
    }
}

impl Term {
    fn variable(&self) -> Option<Variable> {
        match self {
            Self::Variable(variable) => Some(*variable),
            Self::Text(_) => None,
        }
    }
}

impl Variable {
    /// The current names first, then those of old tools (PEP 345).
    const NAMES: [(&'static str, Self); 20] = [
        ("implementation_name", Self::ImplementationName),
        ("implementation_version", Self::ImplementationVersion),
        ("os_name", Self::OsName),
        ("platform_machine", Self::PlatformMachine),
        ("platform_python_implementation", Self::PlatformPythonImplementation),
        ("platform_release", Self::PlatformRelease),
        ("platform_system", Self::PlatformSystem),
        ("platform_version", Self::PlatformVersion),
        ("python_full_version", Self::PythonFullVersion),
        ("python_version", Self::PythonVersion),
        ("sys_platform", Self::SysPlatform),
        ("extra", Self::Extra),
        ("extras", Self::Extras),
        ("dependency_groups", Self::Groups),
        ("os.name", Self::OsName),
        ("sys.platform", Self::SysPlatform),
        ("platform.version", Self::PlatformVersion),
        ("platform.machine", Self::PlatformMachine),
        ("platform.python_implementation", Self::PlatformPythonImplementation),
        ("python_implementation", Self::PlatformPythonImplementation),
    ];

    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, variable)| *variable == self).map_or("", |(name, _)| name)
    }

    fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, variable)| *variable)
    }

    fn is_set(self) -> bool {
        matches!(self, Self::Extra | Self::Extras | Self::Groups)
    }

    fn is_version(self) -> bool {
        matches!(
            self,
            Self::PythonVersion | Self::PythonFullVersion | Self::ImplementationVersion | Self::PlatformRelease
        )
    }
}

impl FromStr for Marker {
    type Err = MarkerError;

    fn from_str(text: &str) -> Result<Self, MarkerError> {
        parse::marker(text).map(Self).map_err(|reason| MarkerError { text: text.to_owned(), reason })
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_node(&self.0, f)
    }
}

fn write_node(node: &Node, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (parts, word) = match node {
        Node::Compare { left, comparison, right } => return write!(f, "{left} {comparison} {right}"),
        Node::Not(part) => {
            f.write_str("not (")?;
            write_node(part, f)?;
            return f.write_str(")");
        }
        Node::Or(parts) => (parts, " or "),
        Node::And(parts) => (parts, " and "),
    };
    for (at, part) in parts.iter().enumerate() {
        f.write_str(if at == 0 { "" } else { word })?;
        if matches!(part, Node::Compare { .. }) {
            write_node(part, f)?;
        } else {
            f.write_str("(")?;
            write_node(part, f)?;
            f.write_str(")")?;
        }
    }
    Ok(())
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(variable) => f.write_str(variable.name()),
            Self::Text(text) if text.contains('\'') => write!(f, "\"{text}\""),
            Self::Text(text) => write!(f, "'{text}'"),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version(operator) => operator.text(),
            Self::In => "in",
            Self::NotIn => "not in",
        })
    }
}

#[cfg(test)]
mod tests;
