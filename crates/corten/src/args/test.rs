//! `corten test`.

use std::path::PathBuf;

use clap::Args;

use crate::args::{DockerArguments, Network, ProjectArguments};

/// `corten test`.
///
/// Builds the image as `corten build` does and runs the tests in it: `python -m pytest`, or what [test] of the settings says. The
/// packages of the lock's group for tests (test, tests, testing, dev, develop: the first that is there) lie over the image for this
/// run, tests and pytest's settings are mounted read-only; nothing of that gets into the image. The exit status is the tests' own;
/// 125 is ours, 126 and 127 say that the command cannot be started.
///
/// What a Dockerfile builds is tested the same way: packages of the folder's lock are laid over its image where they fit the image's
/// Python; else a stage named test is built and run as its CMD says.
///
/// Where there is no such folder it is the name of an image: then what follows -- is run in that image, with the tests of this
/// folder mounted.
#[derive(Debug, Args)]
#[command(mut_arg("folder", |folder| folder
    .index(1)
    .value_name("FOLDER|IMAGE")
    .help("The project's folder; or name or digest of an image")))]
pub struct Test {
    #[command(flatten)]
    pub project: ProjectArguments,
    /// For the tests: options and files of tests go to the command that there is, anything else is a command of its own.
    #[arg(index = 2, last = true, value_name = "ARGUMENT|COMMAND")]
    pub arguments: Vec<String>,
    /// Write the JUnit report here [default: junit of [test]].
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Which network [default: network of [test], else as `corten run` has it].
    #[arg(long, alias = "net", value_enum)]
    pub network: Option<Network>,
    /// Set a variable; a name alone takes the value from here (may be given several times).
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Keep stdin open to the tests, for instance for --pdb.
    #[arg(long, short)]
    pub interactive: bool,
    /// Give them a terminal.
    #[arg(long, short)]
    pub tty: bool,
    /// Make every layer again from downloaded inputs.
    #[arg(long)]
    pub no_cache: bool,
    #[command(flatten)]
    pub docker: DockerArguments,
    /// A secret for RUN --mount=type=secret (may be given several times).
    #[arg(long = "secret", value_name = "id=NAME[,src=FILE|,env=NAME]", help_heading = "Dockerfile options")]
    pub secrets: Vec<String>,
    /// An agent's socket for RUN --mount=type=ssh (may be given several times).
    #[arg(long, value_name = "default|NAME[=SOCKET]", help_heading = "Dockerfile options")]
    pub ssh: Vec<String>,
}
