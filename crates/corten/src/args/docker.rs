//! The flags of `docker buildx build`, for Dockerfiles. [`FLAGS`] says of each whether it means the same here; docs/flags.md is
//! printed from it.

use clap::{Arg, ArgAction, ArgMatches, Args, Command};

/// What is built from a Dockerfile.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Dockerfile options")]
pub struct DockerArguments {
    /// The Dockerfile: a path, - for standard input, or an address [default: Dockerfile in the folder].
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<String>,
    /// The stage to build [default: the last one].
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// A value for ARG; without one, that of the environment (may be given several times).
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    pub build_args: Vec<String>,
    /// What a name in FROM or --from stands for: a folder, oci-layout://FOLDER, docker-image://REFERENCE, store:NAME or an
    /// address (may be given several times).
    #[arg(long = "build-context", value_name = "NAME=PLACE")]
    pub build_contexts: Vec<String>,
    /// A label of the image (may be given several times).
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub labels: Vec<String>,
    /// Ask registries for the images of FROM, also where the store has them.
    #[arg(long)]
    pub pull: bool,
    #[command(flatten)]
    pub refused: Refused,
}

impl DockerArguments {
    /// The first flag that was given and only means something for a Dockerfile.
    pub fn given(&self) -> Option<&'static str> {
        let given = [
            (self.target.is_some(), "--target"),
            (!self.build_args.is_empty(), "--build-arg"),
            (!self.build_contexts.is_empty(), "--build-context"),
            (!self.labels.is_empty(), "--label"),
            (self.pull, "--pull"),
        ];
        given.into_iter().find_map(|(is_given, flag)| is_given.then_some(flag))
    }
}

/// What a flag of buildx means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stance {
    /// The same.
    Same,
    /// Nearly: how it differs.
    Differs(&'static str),
    /// Nothing: why.
    Refused(&'static str),
}
use Stance::{Differs, Refused as No, Same};

/// Every flag of `buildx build` 0.37.2, in the order of its help.
pub const FLAGS: [(&str, Stance); 41] = [
    ("add-host", No("not in this version: names for RUN are those of this machine")),
    ("allow", No("not in this version: RUN --security=insecure is refused, --network=host is the default's")),
    ("annotation", No("not in this version")),
    ("attest", No("not in this version: `corten sbom` prints the bill of materials of an image")),
    ("build-arg", Same),
    (
        "build-context",
        Differs(
            "store:NAME, oci-archive:FILE and docker-archive:FILE are understood, too; target: and input: of bake are not",
        ),
    ),
    ("builder", No("there are no builders: corten builds by itself")),
    ("cache-from", No("caches at registries come later; the store is the cache")),
    ("cache-to", No("caches at registries come later; the store is the cache")),
    ("call", No("not in this version: `corten plan` shows stages and steps")),
    ("cgroup-parent", No("steps get groups of their own")),
    ("check", No("not in this version")),
    ("debug", No("--verbose says more")),
    ("file", Same),
    ("iidfile", No("not in this version")),
    ("label", Same),
    ("load", Same),
    ("metadata-file", No("not in this version")),
    ("network", No("not in this version")),
    ("no-cache", Same),
    ("no-cache-filter", No("not in this version")),
    ("output", No("not in this version for Dockerfiles")),
    ("platform", Differs("one platform for a Dockerfile")),
    ("policy", No("the policy of a project is [check] of corten.toml")),
    ("progress", Differs("auto, plain, json and quiet; json is corten's own, one object a line")),
    ("provenance", No("not in this version")),
    ("pull", Same),
    ("push", No("not in this version: `corten push` brings an image of the store to a registry")),
    ("quiet", Differs("errors alone on stderr, the image's id on stdout")),
    ("resource", No("not in this version")),
    ("sbom", No("not in this version: `corten sbom` prints it")),
    ("secret", No("not in this version")),
    ("shm-size", No("not in this version")),
    ("ssh", No("not in this version")),
    ("tag", Same),
    ("target", Same),
    ("ulimit", No("not in this version")),
    // Hidden ones, which Docker's own `build` has.
    ("compress", No("contexts go nowhere: they are read where they are")),
    ("isolation", No("it is for Windows")),
    ("security-opt", No("steps run in a sandbox that cannot be loosened")),
    ("squash", No("layers are what makes the next build and pull fast")),
];

/// Flags that are understood so far as to say why they do nothing.
#[derive(Debug, Clone, Default)]
pub struct Refused(pub Vec<(&'static str, &'static str)>);

fn refused() -> impl Iterator<Item = (&'static str, &'static str)> {
    FLAGS.into_iter().filter_map(|(name, stance)| match stance {
        No(why) => Some((name, why)),
        Same | Differs(_) => None,
    })
}

impl clap::FromArgMatches for Refused {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        // What a command has under the same name is not refused there.
        let given = |name: &str| matches!(matches.try_get_raw(name), Ok(Some(_)));
        Ok(Self(refused().filter(|(name, _)| given(name)).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Refused {
    fn augment_args(command: Command) -> Command {
        let known: Vec<String> = command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect();
        let args = refused().filter(|(name, _)| !known.iter().any(|known| known == name)).map(|(name, _)| {
            Arg::new(name).long(name).hide(true).action(ArgAction::Append).num_args(0..=1).require_equals(false)
        });
        args.fold(command, Command::arg)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
