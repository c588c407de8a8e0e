//! `corten check`: is this fit for production? The points of a checklist, each with what speaks for or against it.
//!
//! ```text
//! folder with a lock ──► plan ──────────────┐
//! folder with a Dockerfile ──► its stages ──┼─► facts and findings ─► points: yes, no, cannot be known yet ─► Readiness
//! image ──► its documents ──────────────────┘
//! ```
//!
//! Nothing is built. A point that rules speak about is no where one of them has found something; the evidence is then what they
//! said. What only a build shows says so, and which command shows it.

mod dockerfile;
mod image;
mod native;

use corten_check::{Verdict, judge};
use corten_diagnostic::{Finding, Place};
use corten_oci::Healthcheck;

pub use dockerfile::dockerfile;
pub use image::image;
pub(crate) use native::config;
pub use native::{built, native};

/// What is asked of a production image.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// One word; `check.require` takes it.
    pub name: &'static str,
    /// As a sentence that is true of a good image.
    pub sentence: &'static str,
    /// Rules that speak about it.
    pub rules: &'static [&'static str],
}

/// The checklist.
pub const CHECKLIST: [Asked; 14] = [
    Asked {
        name: "stages",
        sentence: "what only a build needs is not in the image",
        rules: &["ML104", "ML129", "ML130", "ML131", "DL3067"],
    },
    Asked {
        name: "user",
        sentence: "it runs as a user that is not root, by number",
        rules: &["ML151", "ML152", "DL3002", "DL3066"],
    },
    Asked { name: "health", sentence: "a service can be asked for its health", rules: &["ML154", "ML155", "DL3012"] },
    Asked {
        name: "size",
        sentence: "it is small for what is in it",
        rules: &["ML105", "ML111", "ML123", "ML127", "ML132", "ML184", "DL3009", "DL3032", "DL3040", "DL3042"],
    },
    Asked { name: "tags", sentence: "its tags tell version and commit", rules: &["ML182"] },
    Asked { name: "base", sentence: "its base is pinned by digest", rules: &["ML101", "ML102", "DL3006", "DL3007"] },
    Asked { name: "digest", sentence: "the digest to deploy is known", rules: &[] },
    Asked { name: "sbom", sentence: "there is a bill of materials", rules: &[] },
    Asked {
        name: "cache",
        sentence: "a change of the code makes no packages again",
        rules: &["ML121", "ML122", "DL3003"],
    },
    Asked {
        name: "secrets",
        sentence: "no secret is in it",
        rules: &["ML141", "ML142", "ML143", "ML144", "DL3064", "SecretsUsedInArgOrEnv"],
    },
    Asked { name: "data", sentence: "no data and no models lie among the code", rules: &["ML161", "ML162"] },
    Asked {
        name: "lock",
        sentence: "every package is pinned, and the lock is in step",
        rules: &["ML124", "ML125", "ML185", "ML187", "ML201", "DL3013"],
    },
    Asked { name: "python", sentence: "its Python gets security fixes", rules: &["ML109", "ML202"] },
    Asked { name: "licences", sentence: "the licences of its packages are allowed", rules: &["ML203"] },
];

/// The checklist as Markdown, for docs/check.md.
pub fn table() -> String {
    let mut text =
        String::from("| point | yes, when | no, where one of these rules finds something |\n|---|---|---|\n");
    for asked in &CHECKLIST {
        text.push_str(&format!("| `{}` | {} | {} |\n", asked.name, asked.sentence, asked.rules.join(", ")));
    }
    text
}

/// What is said to a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is so.
    Yes,
    /// It is not.
    No,
    /// Nothing that is there tells.
    Unknown,
}

/// One point, answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// What is asked.
    pub asked: &'static Asked,
    /// The answer.
    pub answer: Answer,
    /// What speaks for it.
    pub evidence: String,
    /// What mends it, or tells; a command, where there is one.
    pub mend: Option<String>,
    /// Does the policy take offence?
    pub denied: bool,
}

/// The checklist, answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// What was looked at: `native: layers from uv.lock`.
    pub subject: String,
    /// In the order of [`CHECKLIST`].
    pub points: Vec<Point>,
    /// What the rules found.
    pub verdict: Verdict,
}

impl Readiness {
    /// Does the policy let it pass?
    pub fn passed(&self) -> bool {
        self.verdict.passed() && self.points.iter().all(|point| !point.denied)
    }
}

/// What is required of the answers.
#[derive(Debug, Clone, Default)]
pub struct Requirements {
    /// What rules' findings cost.
    pub policy: corten_check::Policy,
    /// Points that have to be yes: `check.require`.
    pub points: Vec<String>,
    /// No point may be no.
    pub strict: bool,
}

/// An answer to one point, as it was found before rules are asked.
#[derive(Debug, Clone)]
struct Fact {
    name: &'static str,
    answer: Answer,
    evidence: String,
    mend: Option<String>,
}

fn yes(name: &'static str, evidence: impl Into<String>) -> Fact {
    Fact { name, answer: Answer::Yes, evidence: evidence.into(), mend: None }
}

fn no(name: &'static str, evidence: impl Into<String>, mend: impl Into<String>) -> Fact {
    Fact { name, answer: Answer::No, evidence: evidence.into(), mend: Some(mend.into()) }
}

fn unknown(name: &'static str, evidence: impl Into<String>, mend: impl Into<String>) -> Fact {
    Fact { name, answer: Answer::Unknown, evidence: evidence.into(), mend: Some(mend.into()) }
}

/// `HEALTHCHECK NONE`: that of the base is switched off.
fn is_none(check: &Healthcheck) -> bool {
    check.test.first().is_some_and(|word| word == "NONE")
}

/// Facts and findings together: a finding about a point makes it no.
fn answered(subject: String, facts: Vec<Fact>, findings: Vec<Finding>, wanted: &Requirements) -> Readiness {
    let verdict = judge(findings, &wanted.policy);
    let point = |asked: &'static Asked| {
        let about: Vec<&Finding> =
            verdict.findings().iter().filter(|finding| asked.rules.contains(&finding.rule.0)).collect();
        let fact = facts.iter().find(|fact| fact.name == asked.name);
        let (answer, evidence, mend) = match (about.split_first(), fact) {
            (Some((first, rest)), _) => (Answer::No, told(first, rest.len()), first.help.clone()),
            (None, Some(fact)) => (fact.answer, fact.evidence.clone(), fact.mend.clone()),
            (None, None) => (Answer::Unknown, "nothing that is there tells".to_owned(), None),
        };
        let required = wanted.points.iter().any(|name| name == asked.name || name == "all");
        let by_rule = about.iter().any(|finding| verdict.denied().contains(finding));
        let denied = by_rule || (required && answer != Answer::Yes) || (wanted.strict && answer == Answer::No);
        Point { asked, answer, evidence, mend, denied }
    };
    let points = CHECKLIST.iter().map(point).collect();
    Readiness { subject, points, verdict }
}

/// A finding as evidence, with its place and how many further ones there are.
fn told(finding: &Finding, further: usize) -> String {
    let at = match &finding.at {
        Place::Text(span) => format!(" ({span})"),
        _ => String::new(),
    };
    let further = match further {
        0 => String::new(),
        1 => ", and one more finding".to_owned(),
        count => format!(", and {count} more findings"),
    };
    format!("{}: {}{at}{further}", finding.rule, finding.message)
}

/// `12.3 MB`.
fn amount(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use corten_check::Policy;
    use corten_diagnostic::{RuleId, Severity};

    use super::*;

    fn finding(rule: &'static str, severity: Severity) -> Finding {
        let help = Some("do it".to_owned());
        Finding { rule: RuleId(rule), severity, message: "m".into(), at: Place::Plan, help, fix: None }
    }

    fn point<'r>(readiness: &'r Readiness, name: &str) -> &'r Point {
        readiness.points.iter().find(|point| point.asked.name == name).unwrap()
    }

    #[test]
    fn points_name_rules_that_there_are() {
        let named = CHECKLIST.iter().flat_map(|asked| asked.rules);
        let unknown: Vec<&str> = named.copied().filter(|id| corten_check::rule(id).is_none()).collect();
        assert_eq!(unknown, [""; 0]);
    }

    #[test]
    fn findings_answer_points_and_the_policy_decides() {
        let facts = || vec![yes("user", "10001"), no("sbom", "none", "ship"), unknown("size", "not built", "build")];
        let findings = || vec![finding("ML151", Severity::Warning), finding("DL3002", Severity::Warning)];
        let wanted = Requirements::default();
        let readiness = answered("x".into(), facts(), findings(), &wanted);
        assert_eq!(readiness.points.len(), CHECKLIST.len());
        let user = point(&readiness, "user");
        assert_eq!((user.answer, user.denied), (Answer::No, false));
        assert_eq!(user.evidence, "ML151: m, and one more finding");
        assert!(readiness.passed(), "a lenient policy denies nothing");
        assert_eq!(point(&readiness, "cache").answer, Answer::Unknown);

        let strict = Requirements { strict: true, ..Requirements::default() };
        let readiness = answered("x".into(), facts(), vec![], &strict);
        assert!(point(&readiness, "sbom").denied && !point(&readiness, "size").denied && !readiness.passed());
        let asked = Requirements { points: vec!["size".into()], ..Requirements::default() };
        let readiness = answered("x".into(), facts(), vec![], &asked);
        assert!(point(&readiness, "size").denied && !point(&readiness, "sbom").denied);
        let settings = corten_frontend::settings::CheckSettings {
            deny: vec![corten_frontend::settings::Setting::default_of("ML151".to_owned())],
            ..Default::default()
        };
        let by_rule = Requirements { policy: Policy::of(&settings).unwrap(), ..Requirements::default() };
        assert!(point(&answered("x".into(), facts(), findings(), &by_rule), "user").denied);
    }

    #[test]
    fn the_page_and_the_settings_have_the_checklist() {
        let page = include_str!("../../../../docs/check.md");
        assert!(page.contains(&table()), "docs/check.md has another table than:\n{}", table());
        let names: Vec<&str> = CHECKLIST.iter().map(|asked| asked.name).collect();
        assert_eq!(corten_frontend::settings::POINTS[1..], names);
    }

    #[test]
    fn no_rule_speaks_about_two_points() {
        let mut all: Vec<&str> = CHECKLIST.iter().flat_map(|asked| asked.rules.iter().copied()).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
