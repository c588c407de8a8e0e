//! `--call`: what a Dockerfile says of itself. Nothing is built, and no image is asked for.

use std::io::Read;

use base64::Engine;

use corten_diagnostic::Report;
use corten_frontend::dockerfile::{Dockerfile, Lowered, Options, Outline, Target};
use corten_oci::{ContainerConfig, ImageConfig, RootFs};
use corten_plan::recipe::Recipe;

use super::plan::{self, Mistakes, options};
use super::request::Request;
use super::source::{self, Source};
use crate::world::World;

/// A Dockerfile that something is asked of.
pub struct Called {
    /// Where it comes from.
    pub source: Source,
    /// What it says, or all its mistakes at once.
    pub readable: Result<Readable, Report>,
}

/// A Dockerfile that could be read.
pub struct Readable(Dockerfile);

/// Reads it.
///
/// # Errors
/// Usage for what was asked wrong; input for what is no text; world where it cannot be read or fetched.
pub fn call(request: &Request, standard: &mut dyn Read, world: &World<'_>) -> Result<Called, Report> {
    let source = source::open(request, standard, world)?;
    let readable = readable(&source, request, world);
    Ok(Called { source, readable })
}

fn readable(source: &Source, request: &Request, world: &World<'_>) -> Result<Readable, Report> {
    let dockerfile = Dockerfile::read(&source.file.path, &source.file.text).map_err(Mistakes)?;
    plan::frontends(&dockerfile, request, world)?;
    Ok(Readable(dockerfile))
}

impl Called {
    /// The file in base64 (RFC 4648), as BuildKit's answers carry it.
    pub fn encoded(&self) -> String {
        base64::engine::general_purpose::STANDARD.encode(self.source.file.text.as_bytes())
    }
}

impl Readable {
    /// Its stages.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn targets(&self, request: &Request) -> Result<Vec<Target>, Report> {
        Ok(self.0.targets(&options(request)).map_err(Mistakes)?)
    }

    /// What the target takes.
    ///
    /// # Errors
    /// All mistakes at once; a target that is none.
    pub fn outline(&self, request: &Request) -> Result<Outline, Report> {
        Ok(self.0.outline(&options(request)).map_err(Mistakes)?)
    }

    /// Looks for mistakes in all that the target needs, as far as they can be seen without its images.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn check(&self, request: &Request) -> Result<(), Report> {
        without_images(&self.0, &options(request)).map(drop)
    }
}

/// What the target does, as far as it can be said without its images.
///
/// # Errors
/// All mistakes at once.
pub(crate) fn without_images(dockerfile: &Dockerfile, options: &Options) -> Result<Recipe, Report> {
    let mut known: Vec<_> = Vec::new();
    loop {
        let answer = |name: &_| known.contains(name).then(|| empty(&options.platform));
        match dockerfile.lower(options, &answer).map_err(Mistakes)? {
            Lowered::Done(recipe) => return Ok(recipe),
            Lowered::Asks(names) => known.extend(names),
        }
    }
}

/// Of an image of which nothing is known.
fn empty(platform: &corten_oci::Platform) -> ImageConfig {
    ImageConfig {
        created: None,
        author: None,
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        variant: platform.variant.clone(),
        config: ContainerConfig::default(),
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() },
        history: Vec::new(),
    }
}
