//! Relations between packages: `libc6 (>= 2.36), debconf (>= 0.5) | debconf-2.0, python3:any`.
//!
//! Source of the format: Debian Policy, section 7.1. Restrictions by architecture or profile (`[amd64]`, `<!nocheck>`)
//! occur only in source packages; a relation that has one is refused.

use std::cmp::Ordering;
use std::fmt;

use corten_package::deb::Version;

/// More relations than any package has (a field of linux-image has about 60).
const MAX_RELATIONS: usize = 10_000;

/// Which versions fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterEqual,
    /// `>>`
    Later,
}

impl Operator {
    fn sign(self) -> &'static str {
        match self {
            Self::Earlier => "<<",
            Self::EarlierEqual => "<=",
            Self::Equal => "=",
            Self::LaterEqual => ">=",
            Self::Later => ">>",
        }
    }

    fn admits(self, order: Ordering) -> bool {
        match self {
            Self::Earlier => order.is_lt(),
            Self::EarlierEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::LaterEqual => order.is_ge(),
            Self::Later => order.is_gt(),
        }
    }
}

/// One package, real or virtual, with the versions that fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation<'a> {
    /// The package.
    pub name: &'a str,
    /// Behind the colon: `any`, `native` or an architecture.
    pub qualifier: Option<&'a str>,
    /// Which versions fit; all without.
    pub version: Option<(Operator, &'a str)>,
}

impl Relation<'_> {
    /// Does `version` fit?
    pub fn admits(&self, version: &str) -> bool {
        match self.version {
            None => true,
            Some((operator, bound)) => operator.admits(compare(version, bound)),
        }
    }
}

impl fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some((operator, bound)) = self.version {
            write!(f, " ({} {bound})", operator.sign())?;
        }
        Ok(())
    }
}

/// The order of two versions; one that is none comes first.
pub fn compare(left: &str, right: &str) -> Ordering {
    let parse = |text: &str| text.parse::<Version>().ok();
    parse(left).cmp(&parse(right))
}

/// A text that is no relation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no relation between packages")]
pub struct RelationError(pub String);

/// Alternatives, best first.
pub type Group<'a> = Vec<Relation<'a>>;

/// Reads a field: groups of alternatives, all of which must be met.
pub fn parse(field: &str) -> Result<Vec<Group<'_>>, RelationError> {
    let groups: Vec<&str> = field.split(',').map(str::trim).filter(|group| !group.is_empty()).collect();
    if groups.len() > MAX_RELATIONS || field.bytes().filter(|byte| *byte == b'|').count() > MAX_RELATIONS {
        return Err(RelationError("more alternatives than any package has".into()));
    }
    groups.into_iter().map(|group| group.split('|').map(relation).collect()).collect()
}

/// Reads a field without alternatives (`Provides`, `Conflicts`, `Breaks`).
pub fn parse_flat(field: &str) -> Result<Vec<Relation<'_>>, RelationError> {
    Ok(parse(field)?.into_iter().flatten().collect())
}

fn relation(text: &str) -> Result<Relation<'_>, RelationError> {
    let text = text.trim();
    let error = || RelationError(text.chars().take(80).collect());
    let (package, version) = match text.split_once('(') {
        None => (text, None),
        Some((package, rest)) => {
            let bound = rest.strip_suffix(')').ok_or_else(error)?;
            (package.trim_end(), Some(bound_of(bound.trim()).ok_or_else(error)?))
        }
    };
    let (name, qualifier) = match package.split_once(':') {
        None => (package, None),
        Some((name, qualifier)) => (name, Some(qualifier)),
    };
    let good = is_name(name) && qualifier.is_none_or(is_name);
    if good { Ok(Relation { name, qualifier, version }) } else { Err(error()) }
}

fn bound_of(text: &str) -> Option<(Operator, &str)> {
    const OPERATORS: [(&str, Operator); 7] = [
        ("<<", Operator::Earlier),
        ("<=", Operator::EarlierEqual),
        (">>", Operator::Later),
        (">=", Operator::LaterEqual),
        ("=", Operator::Equal),
        // Old spellings, which mean "or equal".
        ("<", Operator::EarlierEqual),
        (">", Operator::LaterEqual),
    ];
    let (operator, version) =
        OPERATORS.iter().find_map(|(sign, operator)| Some((*operator, text.strip_prefix(sign)?.trim())))?;
    version.parse::<Version>().ok().map(|_| (operator, version))
}

/// Is it the name of a package?
pub fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_');
    text.len() <= 200 && text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_policy_shows() {
        let field = "libc6 (>= 2.2.1), default-mta | mail-transport-agent, python3:any (<< 3.12~), x(=1)";
        let groups = parse(field).unwrap();
        assert_eq!(groups.len(), 4);
        assert_eq!(groups[0][0].version, Some((Operator::LaterEqual, "2.2.1")));
        assert_eq!(groups[1].iter().map(|one| one.name).collect::<Vec<_>>(), ["default-mta", "mail-transport-agent"]);
        assert_eq!((groups[2][0].name, groups[2][0].qualifier), ("python3", Some("any")));
        assert!(groups[3][0].admits("1") && !groups[3][0].admits("1.1"));
        assert_eq!(parse("").unwrap(), Vec::<Group>::new());
    }

    #[test]
    fn versions_are_in_the_order_of_dpkg() {
        let early = &parse("a (<< 1.0)").unwrap()[0][0];
        assert!(early.admits("1.0~rc1") && !early.admits("1.0") && !early.admits("1:0.1"));
    }

    #[test]
    fn what_is_no_relation_is_refused() {
        for text in
            ["a (", "a (>= )", "a (1)", "a b", "a [amd64]", "a <!x>", "| a", "a |", "-a", "a:", "ä", "a (>= 1) x"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"a|".repeat(MAX_RELATIONS + 1)).is_err());
    }
}
