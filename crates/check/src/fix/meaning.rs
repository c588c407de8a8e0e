//! What a Dockerfile means, so that two texts can be compared: the recipe of each of its stages.
//!
//! Images are not asked for: each base is one without a config, and an argument without a default has one. That is the same
//! for both texts.

use std::path::Path;

use corten_diagnostic::Failure;
use corten_frontend::dockerfile::{Command, Dockerfile, Keyword, Lowered, Options};
use corten_oci::{Architecture, ContainerConfig, ImageConfig, Platform, RootFs};
use corten_plan::recipe::{BaseName, Recipe};

/// A file with more stages is not compared.
const STAGES: usize = 128;

/// Arguments that every build has.
const PLATFORM: [&str; 2] = ["TARGET", "BUILD"];

/// The recipe of each stage, as far as it goes without its images.
pub struct Meaning(Vec<Recipe>);

impl Meaning {
    /// Of a text.
    ///
    /// # Errors
    /// Why nobody can say what is built.
    pub fn of(file: &Path, text: &str) -> Result<Self, String> {
        let first = |failures: Vec<Failure>| failures.first().map(ToString::to_string).unwrap_or_default();
        let dockerfile = Dockerfile::read(file, text).map_err(first)?;
        let stages = dockerfile.instructions.iter().filter(|line| line.keyword == Keyword::From).count();
        if stages > STAGES {
            return Err(format!("it has more than {STAGES} stages"));
        }
        let platform = Platform::linux(Architecture::Amd64);
        let mut options = Options::new(platform.clone(), platform);
        options.build_args.extend(unset(&dockerfile).map(|name| (name, "1".to_owned())));
        let answer = |_: &BaseName| Some(empty());
        let mut recipe = |stage: usize| {
            options.target = Some(stage.to_string());
            match dockerfile.lower(&options, &answer).map_err(first)? {
                Lowered::Done(recipe) => Ok(without_places(recipe)),
                Lowered::Asks(_) => Err("it asks for images".to_owned()),
            }
        };
        (0..stages).map(&mut recipe).collect::<Result<_, _>>().map(Self)
    }

    /// How another text differs in what it means; none where it does not.
    pub fn differs(&self, other: &Self) -> Option<String> {
        if self.0.len() != other.0.len() {
            return Some(format!("there would be {} stages instead of {}", other.0.len(), self.0.len()));
        }
        let differing = self.0.iter().zip(&other.0).find(|(one, other)| one != other);
        differing.map(|(one, other)| difference(one, other))
    }
}

/// Of an image that nobody knows.
fn empty() -> ImageConfig {
    ImageConfig {
        created: None,
        author: None,
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        variant: None,
        config: ContainerConfig::default(),
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() },
        history: Vec::new(),
    }
}

/// Arguments that have no value unless they are given one.
fn unset(file: &Dockerfile) -> impl Iterator<Item = String> {
    let commands = file.instructions.iter().filter_map(|line| Command::of(line).ok());
    let names = commands.flat_map(|command| match command {
        Command::Arg(all) => all.into_iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name.text).collect(),
        _ => Vec::new(),
    });
    names.filter(|name| !PLATFORM.iter().any(|known| name.starts_with(known)))
}

fn without_places(mut recipe: Recipe) -> Recipe {
    recipe.stages.iter_mut().flat_map(|stage| &mut stage.steps).for_each(|step| step.range = 0..0);
    recipe
}

fn difference(one: &Recipe, other: &Recipe) -> String {
    let stages = one.stages.iter().zip(&other.stages);
    for (one, other) in stages {
        let step = one.steps.iter().zip(&other.steps).find(|(one, other)| one != other);
        if let Some((one, other)) = step {
            return match one.created_by == other.created_by {
                true => format!("the step '{}' would do something else", short(&one.created_by)),
                false => format!("'{}' would become '{}'", short(&one.created_by), short(&other.created_by)),
            };
        }
        if one.steps.len() != other.steps.len() {
            return format!("there would be {} steps instead of {}", other.steps.len(), one.steps.len());
        }
        if one != other {
            return format!("the config of stage {} would be another", one.name);
        }
    }
    "another image would come out".to_owned()
}

/// The beginning of its first line.
fn short(text: &str) -> String {
    const LETTERS: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_suffix(" # buildkit").unwrap_or(line);
    match line.chars().nth(LETTERS) {
        Some(_) => line.chars().take(LETTERS).chain(['…']).collect(),
        None => line.to_owned(),
    }
}
