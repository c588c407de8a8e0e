//! What fails a build: severities and rules that are denied, rules that say nothing.

use corten_diagnostic::{Failure, Finding, RuleId, Severity};
use corten_frontend::settings::{CheckSettings, Setting};

use crate::rules::{OF_IMAGES, rule};

/// What is taken offence at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    severities: Vec<Severity>,
    rules: Vec<RuleId>,
    silent: Vec<RuleId>,
}

impl Policy {
    /// Denies nothing: what the Dockerfile path does unless told otherwise.
    pub fn lenient() -> Self {
        Self::default()
    }

    /// As `[check]` says. A severity denies itself and what is worse.
    ///
    /// # Errors
    /// Usage, for a rule that does not exist.
    pub fn of(settings: &CheckSettings) -> Result<Self, Failure> {
        let mut policy = Self::default();
        for denied in &settings.deny {
            match severity(denied) {
                Some(severity) => policy.severities.push(severity),
                None => policy.rules.push(known(denied)?),
            }
        }
        policy.silent = settings.allow.iter().map(known).collect::<Result<_, _>>()?;
        Ok(policy)
    }

    fn denies(&self, finding: &Finding) -> bool {
        self.rules.contains(&finding.rule) || self.severities.iter().any(|severity| finding.severity >= *severity)
    }
}

fn severity(text: &str) -> Option<Severity> {
    match text {
        "error" => Some(Severity::Error),
        "warning" => Some(Severity::Warning),
        "info" => Some(Severity::Info),
        _ => None,
    }
}

fn known(written: &Setting<String>) -> Result<RuleId, Failure> {
    rule(written).map(|rule| rule.id).ok_or_else(|| {
        let known = OF_IMAGES.map(|rule| rule.id.0).join(", ");
        let failure = Failure::usage(format!("there is no rule '{}'", written.value))
            .hint(format!("there are {known}, and the severities error, warning and info"));
        match &written.at {
            Some(at) => failure.at(at.clone()),
            None => failure,
        }
    })
}

/// What a policy says to findings. Only [`judge`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    findings: Vec<Finding>,
    denied: Vec<Finding>,
}

impl Verdict {
    /// May the image be published?
    pub fn passed(&self) -> bool {
        self.denied.is_empty()
    }

    /// All findings but those of silent rules.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Those because of which it did not pass.
    pub fn denied(&self) -> &[Finding] {
        &self.denied
    }

    /// The answer as an error, where it is no. What was found is told before it, finding by finding.
    ///
    /// # Errors
    /// Input.
    pub fn require(&self) -> Result<(), Failure> {
        let Some(first) = self.denied.first() else { return Ok(()) };
        let mut rules: Vec<&str> = self.denied.iter().map(|finding| finding.rule.0).collect();
        rules.dedup();
        Err(Failure::input(format!("the image does not pass its checks: {}", rules.join(", ")))
            .hint(format!("'check.allow' of the settings silences a rule: allow = [\"{}\"]", first.rule)))
    }
}

/// Applies a policy to findings.
pub fn judge(findings: Vec<Finding>, policy: &Policy) -> Verdict {
    let findings: Vec<Finding> =
        findings.into_iter().filter(|finding| !policy.silent.contains(&finding.rule)).collect();
    let denied = findings.iter().filter(|finding| policy.denies(finding)).cloned().collect();
    Verdict { findings, denied }
}

#[cfg(test)]
mod tests {
    use corten_diagnostic::{Diagnose, Fault, Place};

    use super::*;

    fn settings(deny: &[&str], allow: &[&str]) -> CheckSettings {
        let list = |texts: &[&str]| texts.iter().map(|text| Setting::default_of((*text).to_owned())).collect();
        CheckSettings { deny: list(deny), allow: list(allow), ..CheckSettings::default() }
    }

    fn finding(rule: &'static str, severity: Severity) -> Finding {
        Finding { rule: RuleId(rule), severity, message: "m".into(), at: Place::Plan, help: None, fix: None }
    }

    #[test]
    fn severities_deny_what_is_worse_and_rules_themselves() {
        let findings = || vec![finding("ML142", Severity::Error), finding("ML154", Severity::Info)];
        let passed =
            |deny: &[&str], allow: &[&str]| judge(findings(), &Policy::of(&settings(deny, allow)).unwrap()).passed();
        assert!(!passed(&["error"], &[]) && !passed(&["warning"], &[]) && !passed(&["ML154"], &[]));
        assert!(passed(&[], &[]) && passed(&["error"], &["ML142"]) && passed(&["ML151"], &[]));
        let verdict = judge(findings(), &Policy::of(&settings(&["error"], &[])).unwrap());
        assert_eq!((verdict.findings().len(), verdict.denied().len()), (2, 1));
        assert_eq!(verdict.require().unwrap_err().fault(), Fault::Input);
        assert!(judge(findings(), &Policy::lenient()).require().is_ok());
    }

    #[test]
    fn rules_that_do_not_exist_are_refused() {
        assert_eq!(Policy::of(&settings(&["ML999"], &[])).unwrap_err().fault(), Fault::Usage);
        assert!(Policy::of(&settings(&[], &["ML999"])).is_err());
    }
}
