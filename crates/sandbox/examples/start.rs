//! Runs `/bin/true` of a folder once, in everything that a container gets: what `benches/sandbox` measures.
#![allow(clippy::print_stderr, reason = "an example")]

use std::process::ExitCode;

use corten_sandbox::{
    ARGUMENT, Capabilities, End, Helper, Ids, Limits, Mount, Network, Process, Root, Sandbox, Streams, Upper,
};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(root) = arguments.next().filter(|first| first != ARGUMENT) else { return corten_sandbox::init().into() };
    let mut process = Process::new(["/bin/true"]);
    process.capabilities = Capabilities::CONTAINER;
    let sandbox = Sandbox {
        root: Root::Overlay { lower: vec![root.into()], upper: Upper::Discard(1 << 20) },
        mounts: vec![Mount::Proc, Mount::Dev { shm: 64 << 20 }, Mount::Sys],
        process,
        network: Network::None,
        limits: Limits::default(),
        hostname: "bench".into(),
        ids: Ids::Shifted,
        helper: Helper::default(),
    };
    match sandbox.run(Streams::default()) {
        Ok(exit) if exit.end == End::Status(0) => ExitCode::SUCCESS,
        end => {
            eprintln!("{end:?}");
            ExitCode::FAILURE
        }
    }
}
