//! Containers: an image that runs in a [sandbox](corten_sandbox), and what is kept of it. No daemon: the program that runs a
//! container is the one that knows it.
//!
//! ```text
//!  options, image config, trees ─► plan ─► Container (containers/<id>/container.json) ─► life: lock, log, control ─► exit
//!                                                                   ▲ ps, logs, stop, exec, rm: they read the folder,
//!                                                                   └ and ask over its socket
//! ```
//!
//! | in `containers/<id>/` | what |
//! |---|---|
//! | `container.json` | what was asked for: written once |
//! | `lock` | locked (flock) by the process that runs the container: so what runs is never guessed |
//! | `control` | its socket, 0600 in a folder of 0700: signals, stop, further processes |
//! | `log`, `log.1` | what it wrote, at most 2 × 16 MiB |
//! | `exit.json` | how it ended; missing where the machine stopped, or somebody killed the process that ran it |
//! | `disk/` | what it changed in its file system |
//!
//! Nothing that an image contains decides a path on the host: users are read by descriptor within its trees.

mod accounts;
mod container;
mod control;
mod interactive;
mod life;
mod log;
mod options;
mod plan;
mod terminal;

pub use accounts::{Account, Accounts};
pub use container::{Container, Containers, Ended, Lock, State, status};
pub use control::{Exec, exec, stop};
pub use interactive::interactive;
pub use life::{Attach, Outcome, Run, attend};
pub use log::follow;
pub use options::{
    MountOption, NetworkChoice, Options, Published, VolumeOption, VolumeSource, environment_file, mount_option,
    published, tmpfs, ulimit, user_option, volume,
};
pub use plan::{Ground, Planned, plan, signal};
pub use terminal::window;
