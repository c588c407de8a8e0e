//! BuildKit's checks of a Dockerfile: what `--call check` answers, and what a build warns of.
//!
//! A question looks at all stages and knows no image; a build looks at what its target needs, with the configs of its images.
//! `# check=error=true` makes either fail, before anything is built.

use std::collections::BTreeMap;

use corten_check::lint::{Config, IgnoreFile, Lint};
use corten_check::{CheckOptions, Warning, warnings};
use corten_diagnostic::{Failure, Report};
use corten_frontend::dockerfile::Dockerfile;
use corten_frontend::ignore::{Matcher, read_ignore_file};
use corten_frontend::settings::Text;
use corten_oci::{ImageConfig, Platform};

use super::plan::{self, Planned};
use super::request::Request;
use super::source::Source;
use crate::base::HOST;

/// What the checks say of a file.
pub struct Checked {
    /// In BuildKit's order.
    pub warnings: Vec<Warning>,
    /// Any of them makes a build fail.
    pub is_error: bool,
}

impl Checked {
    /// Why nothing is built: the rules, and each warning with its place.
    ///
    /// # Errors
    /// Input, where warnings are errors and there is one.
    pub fn require(&self) -> Result<(), Failure> {
        let Some(violation) = self.violation() else { return Ok(()) };
        let told = self.warnings.iter().map(|warning| {
            let failure = Failure::input(format!("{}: {}", warning.rule.id, warning.detail));
            warning.url().into_iter().fold(failure.at(warning.at.clone()), Failure::hint)
        });
        let failure = Failure::input(violation).hint("the Dockerfile says so: # check=error=true");
        Err(told.fold(failure, Failure::and))
    }

    /// The same in a sentence, BuildKit's.
    pub fn violation(&self) -> Option<String> {
        if !self.is_error || self.warnings.is_empty() {
            return None;
        }
        let mut rules: Vec<&str> = Vec::new();
        for warning in &self.warnings {
            if !rules.contains(&warning.rule.id.0) {
                rules.push(warning.rule.id.0);
            }
        }
        Some(format!("lint violation found for rules: {}", rules.join(", ")))
    }
}

/// Of a file that may have mistakes: as far as it could be read.
///
/// # Errors
/// Input for an ignore file or a `# check=` that cannot be read.
pub fn of_source(source: &Source, request: &Request) -> Result<Checked, Report> {
    let (dockerfile, _) = Dockerfile::read_what_can_be(&source.file.path, &source.file.text);
    let config = config(request, source.ignore.as_ref(), request.target.clone(), BTreeMap::new())?;
    Ok(checked(&dockerfile, &config)?)
}

/// Of what would be built.
///
/// # Errors
/// As [`of_source`].
pub(super) fn of_planned(planned: &Planned, request: &Request) -> Result<Checked, Report> {
    let images = planned.pinned.images.iter().map(|(name, image)| (name.image.clone(), image.config.clone()));
    let last = planned.dockerfile.stages().checked_sub(1).map(|last| last.to_string());
    let target = request.target.clone().or(last);
    let config = config(request, planned.source.ignore.as_ref(), target, images.collect())?;
    Ok(checked(&planned.dockerfile, &config)?)
}

fn checked(dockerfile: &Dockerfile, config: &Config) -> Result<Checked, Failure> {
    let lint = Lint::new(dockerfile, &[], config);
    let options = CheckOptions::of(&lint)?;
    Ok(Checked { warnings: warnings(&lint, &options), is_error: options.error })
}

fn config(
    request: &Request,
    ignore: Option<&Text>,
    target: Option<String>,
    images: BTreeMap<String, ImageConfig>,
) -> Result<Config, Failure> {
    Ok(Config {
        target,
        build_args: request.build_args.clone(),
        platforms: Some((Platform::linux(request.architecture), Platform::linux(HOST))),
        contexts: plan::options(request).contexts,
        images,
        ignore: ignore.map(ignore_file).transpose()?,
        context_known: true,
        ..Config::default()
    })
}

fn ignore_file(text: &Text) -> Result<IgnoreFile, Failure> {
    let lines = read_ignore_file(&text.text);
    let matcher = Matcher::new(lines.iter().map(|(_, pattern)| pattern.as_str()))
        .map_err(|error| Failure::input(format!("{}: {error}", text.path.display())))?;
    Ok(IgnoreFile { path: text.path.clone(), text: text.text.to_string(), matcher })
}
