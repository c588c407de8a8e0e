//! The flags of `docker buildx build`, for Dockerfiles. [`FLAGS`] says of each whether it means the same here; docs/flags.md is
//! printed from it.

use std::path::PathBuf;

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

/// What building adds.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Dockerfile options")]
pub struct DockerBuild {
    /// A stage whose steps are made anew (may be given several times).
    #[arg(long, value_name = "STAGE")]
    pub no_cache_filter: Vec<String>,
    /// A secret for RUN --mount=type=secret: no layer, log or key ever has it (may be given several times).
    #[arg(long = "secret", value_name = "id=NAME[,src=FILE|,env=NAME]", help_heading = "What RUN gets")]
    pub secrets: Vec<String>,
    /// An agent's socket for RUN --mount=type=ssh (may be given several times).
    #[arg(long, value_name = "default|NAME[=SOCKET]", help_heading = "What RUN gets")]
    pub ssh: Vec<String>,
    /// A name and address that RUN knows (may be given several times).
    #[arg(long, value_name = "NAME:ADDRESS", help_heading = "What RUN gets")]
    pub add_host: Vec<String>,
    /// The network of RUN: default, none or host.
    #[arg(long, value_name = "NETWORK", help_heading = "What RUN gets")]
    pub network: Option<String>,
    /// Bytes of /dev/shm of RUN.
    #[arg(long, value_name = "SIZE", help_heading = "What RUN gets")]
    pub shm_size: Option<String>,
    /// A limit of each process of RUN: nofile=1024:2048 (may be given several times).
    #[arg(long, value_name = "NAME=SOFT[:HARD]", help_heading = "What RUN gets")]
    pub ulimit: Vec<String>,
    /// What RUN may do beyond the usual: network.host, security.insecure (may be given several times).
    #[arg(long, value_name = "WHAT", help_heading = "What RUN gets")]
    pub allow: Vec<String>,
    /// Let ADD reach this machine and private networks.
    #[arg(long)]
    pub allow_private_add: bool,
    /// Bring the image to the registries of its names.
    #[arg(long)]
    pub push: bool,
    /// Free text of the manifest, or of KIND: manifest-descriptor; with --sbom or --provenance, which make an index, also index
    /// and index-descriptor (may be given several times).
    #[arg(long = "annotation", value_name = "[KIND:]NAME=VALUE", help_heading = "What is said and written")]
    pub annotations: Vec<String>,
    /// Say in an index with the image (of type=local and tar: in sbom.spdx.json) which packages it has, as its databases list
    /// them: true or false.
    #[arg(long, value_name = "BOOL", help_heading = "What is said and written")]
    pub sbom: Option<String>,
    /// Say in an index with the image (of type=local and tar: in provenance.json) what it was built from: true, false, mode=min
    /// or mode=max.
    #[arg(long, value_name = "BOOL|mode=MODE", help_heading = "What is said and written")]
    pub provenance: Option<String>,
    /// The same in one flag: type=sbom or type=provenance,mode=max (may be given several times).
    #[arg(long = "attest", value_name = "type=TYPE[,NAME=VALUE]", help_heading = "What is said and written")]
    pub attestations: Vec<String>,
    /// Build nothing; say what the Dockerfile says of itself: check, outline, targets, as text or ,format=json.
    #[arg(long, value_name = "METHOD", help_heading = "What is said and written")]
    pub call: Option<String>,
    /// Build nothing; look for mistakes: --call=check.
    #[arg(long, conflicts_with = "call", help_heading = "What is said and written")]
    pub check: bool,
    /// Write the image's id here.
    #[arg(long, value_name = "FILE", help_heading = "What is said and written")]
    pub iidfile: Option<PathBuf>,
    /// Write what is known of the result here, as buildx does.
    #[arg(long, value_name = "FILE", help_heading = "What is said and written")]
    pub metadata_file: Option<PathBuf>,
    /// Say of each step that was made why it was not taken from the store.
    #[arg(long, help_heading = "What is said and written")]
    pub why: bool,
    /// Open a shell where a RUN has failed: with its files, variables, user, folder and mounts.
    #[arg(long, help_heading = "What RUN gets")]
    pub debug_shell: bool,
}

impl DockerBuild {
    /// The first flag that was given and only means something for a Dockerfile.
    pub fn given(&self) -> Option<&'static str> {
        let given = [
            (!self.no_cache_filter.is_empty(), "--no-cache-filter"),
            (!self.secrets.is_empty(), "--secret"),
            (!self.ssh.is_empty(), "--ssh"),
            (!self.add_host.is_empty(), "--add-host"),
            (self.network.is_some(), "--network"),
            (self.shm_size.is_some(), "--shm-size"),
            (!self.ulimit.is_empty(), "--ulimit"),
            (!self.annotations.is_empty(), "--annotation"),
            (self.sbom.is_some(), "--sbom"),
            (self.provenance.is_some(), "--provenance"),
            (!self.attestations.is_empty(), "--attest"),
            (self.call.is_some(), "--call"),
            (self.check, "--check"),
            (!self.allow.is_empty(), "--allow"),
            (self.allow_private_add, "--allow-private-add"),
            (self.push, "--push"),
            (self.iidfile.is_some(), "--iidfile"),
            (self.metadata_file.is_some(), "--metadata-file"),
            (self.why, "--why"),
            (self.debug_shell, "--debug-shell"),
        ];
        given.into_iter().find_map(|(is_given, flag)| is_given.then_some(flag))
    }
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
    ("add-host", Differs("host-gateway is of docker's own network, and refused")),
    ("allow", Differs("network.host and security.insecure; there are no other entitlements")),
    (
        "annotation",
        Differs(
            "index: and index-descriptor: go with --sbom or --provenance, which make an index; docker's archives and files have none",
        ),
    ),
    ("attest", Differs("as --sbom and --provenance: there is none that was not asked for")),
    ("build-arg", Same),
    (
        "build-context",
        Differs(
            "store:NAME, oci-archive:FILE and docker-archive:FILE are understood, too; target: and input: of bake are not",
        ),
    ),
    ("builder", No("there are no builders: corten builds by itself")),
    ("cache-from", No("caches elsewhere come in a later version; the store is the cache")),
    ("cache-to", No("caches elsewhere come in a later version; the store is the cache")),
    ("call", Differs("check, outline and targets, read from the file alone: of images of FROM nothing is known")),
    (
        "cgroup-parent",
        No(
            "steps run below the group that corten is in: start it in another one, as systemd-run --scope --slice=NAME does",
        ),
    ),
    ("check", Differs("all mistakes at once, beside all warnings; corten lint has more rules")),
    ("debug", No("--verbose says more")),
    ("file", Same),
    ("iidfile", Same),
    ("label", Same),
    ("load", Same),
    (
        "metadata-file",
        Differs(
            "without buildx.build.ref, which leads to a builder's history; buildx.build.provenance as with BUILDX_METADATA_PROVENANCE=min, or not at all with =disabled",
        ),
    ),
    ("network", Same),
    ("no-cache", Same),
    ("no-cache-filter", Same),
    ("output", Differs("one platform; a level of compression is refused, so that the same files are the same bytes")),
    ("platform", Differs("one platform for a Dockerfile")),
    ("policy", No("rules in Rego are not read; digests and --checksum hold what is taken from elsewhere")),
    ("progress", Differs("auto, plain, tty, json and quiet; json is corten's own, one object a line")),
    (
        "provenance",
        Differs(
            "only where it is asked for; version v1; arguments that sound like secrets are not told; mode=max lists the steps by name, and with SOURCE_DATE_EPOCH there are no times",
        ),
    ),
    ("pull", Same),
    ("push", Same),
    ("quiet", Differs("errors alone on stderr, the image's id on stdout")),
    (
        "resource",
        No(
            "steps have the limits of the group that corten is in: systemd-run --scope -p MemoryMax=2G starts it in one",
        ),
    ),
    ("sbom", Differs("Corten lists what dpkg and Python have installed; images that generate others are not run")),
    ("secret", Same),
    ("shm-size", Same),
    ("ssh", Differs("sockets of agents; a key is given to an agent first: ssh-add KEY")),
    ("tag", Same),
    ("target", Same),
    ("ulimit", Same),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The page of the docs is this table.
    fn page() -> String {
        let mut page = String::from(
            "# Flags of `docker buildx build`\n\nWhat each flag of `docker buildx build` (0.37) means to `corten build` where a \
            Dockerfile is built. Printed from the\nprogram's own table; nothing is silently accepted: a flag that does nothing is \
            refused, and says why.\n\n| flag | here | |\n|---|---|---|\n",
        );
        for (name, stance) in FLAGS {
            let (word, more) = match stance {
                Same => ("same", ""),
                Differs(how) => ("differs", how),
                No(why) => ("refused", why),
            };
            page.push_str(&format!("| `--{name}` | {word} | {more} |\n"));
        }
        page.push_str("\nFlags of `corten build` that docker has not: `--why` (why each step was made and not taken from the store),\n`--debug-shell` (a shell where a RUN has failed), `--allow-private-add` (ADD may reach this machine and private networks).\n");
        page
    }

    #[test]
    fn the_page_of_flags_is_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/flags.md");
        if std::env::var_os("CORTEN_BLESS").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), page(), "write it again with CORTEN_BLESS=1");
    }

    /// A flag that is said to be refused is, and one that is said to be understood is.
    #[test]
    fn the_command_line_is_what_the_table_says() {
        use clap::CommandFactory;
        let command = crate::args::Arguments::command();
        let build = command.find_subcommand("build").unwrap();
        for (name, stance) in FLAGS {
            let of = |command: &Command| {
                let found = command.get_arguments().find(|arg| arg.get_long() == Some(name));
                found.map(|arg| arg.is_hide_set())
            };
            let hidden = of(build).or_else(|| of(&command));
            assert_eq!(hidden, Some(matches!(stance, No(_))), "--{name}");
        }
    }
}
