//! The sources of a wheel that the interpreter would compile: its `.py` below site-packages.

use std::fs::File;

use corten_layer::zip::{Archive, Member};
use corten_oci::LayerPath;

use super::interpreter::Input;
use crate::python::wheel::{InstallTarget, Library, Problem, WheelError, WheelSource, library};

/// Sources that have not been read yet.
pub(super) struct Sources<'a> {
    wheel: &'a WheelSource,
    archive: Archive<&'a File>,
    /// Sorted by path in the image.
    files: Vec<(String, Member)>,
}

impl<'a> Sources<'a> {
    pub(super) fn new(wheel: &'a WheelSource, target: &InstallTarget) -> Result<Self, WheelError> {
        let Library { archive, members: mut files } = library(wheel, target)?;
        files.retain(|(path, _)| path.ends_with(".py"));
        files.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Self { wheel, archive, files })
    }

    /// Paths in the image.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(path, _)| path.as_str())
    }

    pub(super) fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        self.files.retain(|(path, _)| wanted(path));
    }

    /// The sources, and the paths of those that are larger than `largest` bytes or come after the first `all` bytes.
    pub(super) fn read(mut self, largest: u64, all: u64) -> Result<(Input, Vec<String>), WheelError> {
        let sizes = self.files.iter().map(|(path, member)| path.len() as u64 + member.size.min(largest) + 20);
        // A hint: not more than `all`, which fits.
        let mut input = Input::with_capacity(sizes.sum::<u64>().min(all) as usize);
        let (mut left_out, mut total) = (Vec::new(), 0_u64);
        for (path, member) in std::mem::take(&mut self.files) {
            total = total.saturating_add(member.size);
            if member.size > largest || total > all {
                left_out.push(path);
                continue;
            }
            self.push(&path, &member, &mut input).map_err(|problem| problem.of(self.wheel))?;
        }
        Ok((input, left_out))
    }

    fn push(&mut self, path: &str, member: &Member, input: &mut Input) -> Result<(), Problem> {
        let path = LayerPath::new(path).map_err(|error| error.to_string())?;
        input.push(path, &self.archive.content(member, member.size)?);
        Ok(())
    }
}
