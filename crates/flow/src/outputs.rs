//! Where a built image goes beside the store: files, and the docker or podman of this machine.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use corten_diagnostic::{Failure, Report};
use corten_oci::{Digest, Reference};
use corten_store::{Store, StoreError, docker_archive, layout};

use crate::blobs;
use crate::registry::RegistryOptions;
use crate::world::World;

/// A file to write, as `docker buildx build --output` takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// `type=oci,dest=FILE`: an OCI layout in a tar.
    Oci(PathBuf),
    /// `type=docker,dest=FILE`: what `docker load` reads.
    Docker(PathBuf),
}

impl FromStr for Output {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::usage(format!("--output '{text}': {why}"))
                .hint("type=oci,dest=FILE writes an OCI layout, type=docker,dest=FILE what `docker load` reads")
        };
        let (mut kind, mut destination) = (None, None);
        for field in text.split(',') {
            match field.split_once('=') {
                Some(("type", value)) => kind = Some(value),
                Some(("dest", value)) => destination = Some(PathBuf::from(value)),
                _ => return Err(wrong(&format!("'{field}' is neither type=… nor dest=…"))),
            }
        }
        let destination = destination.ok_or_else(|| wrong("it names no file"))?;
        match kind {
            Some("oci") => Ok(Self::Oci(destination)),
            Some("docker") => Ok(Self::Docker(destination)),
            Some(other) => Err(wrong(&format!("type '{other}' is not known"))),
            None => Err(wrong("it has no type")),
        }
    }
}

/// Refuses what cannot be written, before anything is built for it.
pub fn refuse_impossible(outputs: &[Output]) -> Result<(), Failure> {
    let path = |output: &'_ Output| match output {
        Output::Oci(path) | Output::Docker(path) => path.clone(),
    };
    outputs.iter().try_for_each(|output| writable("--output", &path(output)))
}

/// Refuses a file to write for `flag` whose folder is not there, or that is a folder itself.
pub fn writable(flag: &str, path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Err(Failure::usage(format!("{flag}: {} is a folder", path.display())).hint("name a file in it"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        let message = format!("{flag}: {} cannot be written: there is no folder {}", path.display(), folder.display());
        return Err(Failure::usage(message).hint(format!("make it first: mkdir -p {}", folder.display())));
    }
    Ok(())
}

/// Writes one output. A file that is there already is replaced once the new one is complete.
pub fn write(
    output: &Output,
    image: &Digest,
    names: &[Reference],
    options: &RegistryOptions,
    world: &World<'_>,
) -> Result<(), Report> {
    let (Output::Oci(path) | Output::Docker(path)) = output;
    blobs::bring_image(image, &format!("writing {}", path.display()), options, world)?;
    let store = world.store;
    match output {
        Output::Oci(path) => replace(path, |to| Ok(layout::export_tar(store, image, names, to)?)),
        Output::Docker(path) => replace(path, |to| Ok(docker_archive::export(store, image, names, to)?)),
    }
}

pub(crate) fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<(), Report>) -> Result<(), Report> {
    let failed = |error: io::Error| StoreError::disk("writing", path, 0, error);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = PathBuf::from(name);
    let file = File::create(&partial).map_err(failed)?;
    let mut writer = BufWriter::with_capacity(1 << 18, Destination { file, path });
    let result = write(&mut writer).and_then(|()| {
        let written = writer.into_inner().map_err(|error| StoreError::from_io("writing", path, error.into_error()))?;
        written.file.sync_all().map_err(failed)?;
        Ok(std::fs::rename(&partial, path).map_err(failed)?)
    });
    if result.is_err() {
        // The error that matters is the one above; a file that is left over is named after this process.
        drop(std::fs::remove_file(&partial));
    }
    result
}

/// A file whose errors say where it is to lie, and what did not fit.
struct Destination<'a> {
    file: File,
    path: &'a Path,
}

impl Write for Destination<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| {
            let kind = error.kind();
            io::Error::new(kind, StoreError::disk("writing", self.path, bytes.len() as u64, error))
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Loads the image into the docker of this machine, or where there is none, its podman. Says which.
pub fn load(
    image: &Digest,
    names: &[Reference],
    options: &RegistryOptions,
    world: &World<'_>,
) -> Result<&'static str, Report> {
    blobs::bring_image(image, "loading the image", options, world)?;
    for program in ["docker", "podman"] {
        if let Some(result) = load_with(program, world.store, image, names) {
            return result.map(|()| program);
        }
    }
    Err(Failure::world("loading the image: there is neither docker nor podman on PATH")
        .hint("-o type=docker,dest=FILE writes a file that either can load elsewhere")
        .into())
}

/// None where the program is not there.
fn load_with(program: &str, store: &Store, image: &Digest, names: &[Reference]) -> Option<Result<(), Report>> {
    let mut command = Command::new(program);
    command.arg("load").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    if let Some(caller) = corten_sandbox::caller() {
        // As `podman unshare` starts it: by the root of such a namespace it is not rootful, and from another it could not come here.
        let ids = [("UID", caller.user), ("GID", caller.group)];
        command.envs(ids.map(|(name, id)| (format!("_CONTAINERS_ROOTLESS_{name}"), id.to_string())));
        command.env("_CONTAINERS_USERNS_CONFIGURED", "done");
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(Err(Failure::world(format!("running {program} load: {error}")).into())),
    };
    // Dropped before waiting, so that the program sees the end.
    let sent = child.stdin.take().map(|stdin| {
        let mut stdin = BufWriter::with_capacity(1 << 18, stdin);
        docker_archive::export(store, image, names, &mut stdin)
    });
    Some(match child.wait_with_output() {
        Ok(output) if output.status.success() => sent.transpose().map(|_| ()).map_err(Report::from),
        Ok(output) => Err(Failure::world(format!("running {program} load: it ended with {}", output.status))
            .because(String::from_utf8_lossy(&output.stderr).trim().to_owned())
            .into()),
        Err(error) => Err(Failure::world(format!("running {program} load: {error}")).into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_written_as_buildx_has_them() {
        assert_eq!("type=oci,dest=a.tar".parse::<Output>().unwrap(), Output::Oci("a.tar".into()));
        assert_eq!("dest=b,type=docker".parse::<Output>().unwrap(), Output::Docker("b".into()));
        for wrong in ["", "type=oci", "dest=x", "type=zip,dest=x", "type=oci,dest=x,y"] {
            assert!(wrong.parse::<Output>().is_err(), "{wrong}");
        }
    }
}
