//! Pid 1 of the sandboxes of this crate's tests. Programs that use the crate are their own.

fn main() -> std::process::ExitCode {
    corten_sandbox::init().into()
}
