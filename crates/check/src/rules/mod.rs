//! The rules, one file each. Numbers are those of Corten's rules for Dockerfiles where one fits.

mod budget;
mod buildkit;
mod compose;
pub(crate) mod dl;
mod gpu;
mod health;
mod library_missing;
mod licence;
mod lock_missing;
mod lock_step;
mod lock_unhashed;
mod machine;
mod metadata_only;
pub(crate) mod ml;
mod native_path;
mod pickle;
mod port;
mod python_end;
mod requirement_unpinned;
mod root_user;
mod sdist_locked;
pub(crate) mod secret_files;
mod setuid;
mod shell;
mod unmet;
mod unpinned_base;
mod user_name;
mod weights;
mod yanked;

use corten_diagnostic::{Edit, Finding, Fix, Place, RuleId, Severity, Span};

pub use buildkit::{CheckOptions, Warning, warnings};
pub(crate) use buildkit::{Walk, walk};
pub use python_end::end_of_python;

use crate::CheckInput;
use crate::lint::{Compose, Lint};

/// One rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its number, or the name that people know: `DL3008`, `StageNameCasing`, `SC2086`, `ML151`.
    pub id: RuleId,
    /// Its name, in words with dashes.
    pub name: &'static str,
    /// How much its findings matter.
    pub severity: Severity,
    /// When it speaks, in a sentence.
    pub what: &'static str,
    /// Why that matters, in a sentence or two.
    pub why: &'static str,
    /// What it looks at, with a finding: facts of an image as TOML, or a whole Dockerfile or compose file.
    pub bad: &'static str,
    /// The same without.
    pub good: &'static str,
    /// Rules of others that say the same: whoever silences one of them silences this.
    pub aliases: &'static [&'static str],
    /// Does it speak unless told otherwise?
    pub initially: Initially,
    run: Run,
}

/// Whether a rule speaks without being asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initially {
    /// It does.
    On,
    /// Settings have to select it.
    Off,
    /// `# check=experimental=` or settings have to select it.
    Experimental,
}

/// What a rule looks at, and how.
#[derive(Debug, Clone, Copy)]
enum Run {
    /// An image, built or planned.
    Image(fn(&CheckInput<'_>, &mut Found)),
    /// A Dockerfile.
    Dockerfile(fn(&Lint<'_>, &mut Found)),
    /// A compose file.
    Compose(fn(&Compose<'_>, &mut Found)),
}

/// What a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// An image, built or planned.
    Image,
    /// A Dockerfile.
    Dockerfile,
    /// A compose file.
    Compose,
}

/// Those about images and plans, by number.
pub const OF_IMAGES: [Rule; 31] = [
    unpinned_base::RULE,
    gpu::DOUBLE_CUDA,
    gpu::CUDA_MIX,
    gpu::CUDA_DRIVER,
    gpu::GPU_PLATFORM,
    gpu::GPU_ARCHITECTURE,
    lock_missing::RULE,
    gpu::NEEDLESS_CUDA,
    gpu::FRAMEWORK_REINSTALLED,
    metadata_only::RULE,
    secret_files::RULE,
    root_user::RULE,
    user_name::RULE,
    health::RULE,
    weights::RULE,
    budget::RULE,
    lock_step::RULE,
    lock_unhashed::RULE,
    yanked::RULE,
    port::RULE,
    setuid::RULE,
    unmet::RULE,
    pickle::RULE,
    library_missing::IMPORT,
    library_missing::OTHER,
    machine::RULE,
    native_path::RULE,
    requirement_unpinned::RULE,
    python_end::RULE,
    licence::RULE,
    sdist_locked::RULE,
];

/// All rules, group by group, each group by number.
pub const RULES: [&[Rule]; 6] = [&dl::RULES, &buildkit::RULES, &shell::RULES, &ml::RULES, &compose::RULES, &OF_IMAGES];

/// Those about steps of Dockerfiles that were built.
pub(crate) const OF_STEPS: [Rule; 2] = [metadata_only::RULE, native_path::RULE];

/// All rules, one by one.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    RULES.into_iter().flatten()
}

/// The rule with a number or name, in any case; else the first that has it as an alias.
pub fn rule(id: &str) -> Option<&'static Rule> {
    let is = |known: &str| known.eq_ignore_ascii_case(id);
    rules().find(|rule| is(rule.id.0)).or_else(|| rules().find(|rule| rule.aliases.iter().any(|alias| is(alias))))
}

impl Rule {
    /// Is it known by this number or name, its own or an alias?
    pub fn is(&self, id: &str) -> bool {
        self.id.0.eq_ignore_ascii_case(id) || self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(id))
    }

    /// What it looks at.
    pub fn subject(&self) -> Subject {
        match self.run {
            Run::Image(_) => Subject::Image,
            Run::Dockerfile(_) => Subject::Dockerfile,
            Run::Compose(_) => Subject::Compose,
        }
    }

    /// What it has to say of an image.
    pub fn findings(&self, input: &CheckInput<'_>) -> Vec<Finding> {
        let Run::Image(run) = self.run else { return Vec::new() };
        self.gather(|found| run(input, found))
    }

    /// What it has to say of a Dockerfile.
    pub(crate) fn of_dockerfile(&self, lint: &Lint<'_>) -> Vec<Finding> {
        let Run::Dockerfile(run) = self.run else { return Vec::new() };
        self.gather(|found| run(lint, found))
    }

    /// What it has to say of a compose file.
    pub(crate) fn of_compose(&self, compose: &Compose<'_>) -> Vec<Finding> {
        let Run::Compose(run) = self.run else { return Vec::new() };
        self.gather(|found| run(compose, found))
    }

    fn gather(&self, run: impl FnOnce(&mut Found)) -> Vec<Finding> {
        let mut found = Found(Vec::new());
        run(&mut found);
        let finding = |raw: Raw| Finding {
            rule: self.id,
            severity: self.severity,
            message: raw.message,
            at: raw.at,
            help: Some(raw.help).filter(|help| !help.is_empty()),
            fix: raw.fix,
        };
        found.0.into_iter().map(finding).collect()
    }
}

/// Takes what a rule has found.
struct Found(Vec<Raw>);

/// One thing that was found.
struct Raw {
    at: Place,
    message: String,
    help: String,
    fix: Option<Fix>,
}

impl Found {
    /// Place, message, help: lower case, no full stop.
    fn add(&mut self, at: Place, message: impl Into<String>, help: impl Into<String>) {
        self.0.push(Raw { at, message: message.into(), help: help.into(), fix: None });
    }

    /// The same with a change that mends it.
    fn fixed(&mut self, at: Place, message: impl Into<String>, help: impl Into<String>, fix: Option<Fix>) {
        self.0.push(Raw { at, message: message.into(), help: help.into(), fix });
    }
}

/// A change that may be made without asking: the rule's page names it, or what is built stays the same.
fn safe(title: impl Into<String>, edits: Vec<Edit>) -> Option<Fix> {
    Some(Fix { title: title.into(), edits, safe: true })
}

/// A change that somebody has to look at.
fn unsafe_fix(title: impl Into<String>, edits: Vec<Edit>) -> Option<Fix> {
    Some(Fix { title: title.into(), edits, safe: false })
}

/// The text, if it is known where; else the plan.
fn place(at: Option<&Span>) -> Place {
    at.map_or(Place::Plan, |at| Place::Text(at.clone()))
}

/// `1.5 MB`, `73.2 kB`.
fn amount(bytes: u64) -> String {
    let (unit, name) = if bytes < 100_000 { (1000, "kB") } else { (1_000_000, "MB") };
    let tenths = bytes.saturating_add(unit / 20) / (unit / 10);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod examples;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod tests;
