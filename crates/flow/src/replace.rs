//! A text of the user's is replaced by another: whole or not at all, never through a link out of its folder, and never where
//! it has changed since it was read.
//!
//! The new text lies beside the old one under a name of its own until it is durable; the rename is the one step that anybody
//! sees. Mode and owner stay. All of it goes by the descriptor of the folder, so that nobody can exchange the folder meanwhile.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use corten_diagnostic::Failure;
use rustix::fs::{self as at, AtFlags, CWD, Mode, OFlags};

/// Replaces the text of a file that was `before`.
///
/// # Errors
/// World, where it is another by now, a link leads out of its folder, or the disk refuses.
pub fn replace_text(path: &Path, before: &str, after: &str) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::world(format!("writing {}: {error}", path.display()));
    let (folder, name) = place(path)?;
    let folder = open_folder(&folder).map_err(failed)?;
    let old = at::openat(&folder, &name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let old = File::from(old.map_err(|error| failed(error.into()))?);
    if !is_still(&old, before).map_err(failed)? {
        return Err(Failure::world(format!("writing {}: it has changed meanwhile", path.display()))
            .hint("run the command again"));
    }
    exchange(&folder, &name, Some(&old), after).map_err(failed)
}

fn open_folder(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(File::from(at::openat(CWD, path, flags, Mode::empty())?))
}

/// Puts a text into the place of a name, by a file beside it.
fn exchange(folder: &File, name: &Path, old: Option<&File>, text: &str) -> io::Result<()> {
    let part = PathBuf::from(format!(".{}.corten-{}", name.to_string_lossy(), std::process::id()));
    let done = write(folder, &part, old, text).and_then(|()| {
        at::renameat(folder, &part, folder, name)?;
        folder.sync_all()
    });
    if done.is_err() {
        // What matters is the error above.
        let _ = at::unlinkat(folder, &part, AtFlags::empty());
    }
    done
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Writes a whole text, as a new file or in the place of another; whatever reads it meanwhile sees one of both.
///
/// # Errors
/// World, where a link leads out of its folder, what stands there is no file, or the disk refuses.
pub fn write_text(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::world(format!("writing {}: {error}", path.display()));
    let (folder, name) = match (fs::symlink_metadata(path), path.file_name()) {
        (Err(error), Some(name)) if error.kind() == io::ErrorKind::NotFound => {
            (fs::canonicalize(parent(path)).map_err(failed)?, PathBuf::from(name))
        }
        _ => place(path)?,
    };
    let folder = open_folder(&folder).map_err(failed)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let old = match at::openat(&folder, &name, flags, Mode::empty()) {
        Ok(old) => Some(File::from(old)),
        Err(rustix::io::Errno::NOENT) => None,
        Err(error) => return Err(failed(error.into())),
    };
    if let Some(old) = &old
        && !old.metadata().map_err(failed)?.is_file()
    {
        return Err(Failure::world(format!("writing {}: it is no file", path.display())));
    }
    exchange(&folder, &name, old.as_ref(), text).map_err(failed)
}

/// The folder and the name of the file that a path stands for. A link is followed within the folder of the path alone.
fn place(path: &Path) -> Result<(PathBuf, PathBuf), Failure> {
    let failed = |error: io::Error| Failure::world(format!("writing {}: {error}", path.display()));
    let folder = fs::canonicalize(parent(path)).map_err(failed)?;
    let real = fs::canonicalize(path).map_err(failed)?;
    match (real.parent(), real.file_name()) {
        (Some(parent), Some(name)) if parent.starts_with(&folder) => Ok((parent.to_owned(), PathBuf::from(name))),
        _ => Err(Failure::world(format!(
            "writing {}: it is a link to {}, which is in another folder",
            path.display(),
            real.display()
        ))
        .hint("name that file itself")),
    }
}

fn is_still(file: &File, before: &str) -> io::Result<bool> {
    let mut found = Vec::new();
    let mut most = file.take(before.len() as u64 + 1);
    most.read_to_end(&mut found)?;
    Ok(found == before.as_bytes() && file.metadata()?.is_file())
}

fn write(folder: &File, part: &Path, old: Option<&File>, text: &str) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // A new one's mode is the umask's; another's comes over when it is complete.
    let mode = if old.is_some() { 0o600 } else { 0o666 };
    let mut new = File::from(at::openat(folder, part, flags, Mode::from_raw_mode(mode))?);
    new.write_all(text.as_bytes())?;
    let Some(old) = old else { return new.sync_all() };
    let (was, is) = (old.metadata()?, new.metadata()?);
    if (was.uid(), was.gid()) != (is.uid(), is.gid()) {
        // Somebody else's file becomes one of our own where we may not give it away.
        drop(fchown(&new, Some(was.uid()), Some(was.gid())));
    }
    new.set_permissions(was.permissions())?;
    new.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Dockerfile"), "FROM a\n").unwrap();
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_mode_stays_and_nothing_else_lies_there() {
        let folder = folder();
        let file = folder.path().join("Dockerfile");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        replace_text(&file, "FROM a\n", "FROM b\n").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "FROM b\n");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(names(folder.path()), ["Dockerfile"]);
    }

    #[test]
    fn a_whole_text_is_written_new_or_over_another_and_never_through_a_link_out() {
        let (folder, elsewhere) = (folder(), folder());
        write_text(&folder.path().join("new"), "a").unwrap();
        let file = folder.path().join("Dockerfile");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        write_text(&file, "b").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_to_string(&file).unwrap() + &fs::read_to_string(folder.path().join("new")).unwrap(), "ba");
        assert_eq!(names(folder.path()), ["Dockerfile", "new"]);
        symlink(elsewhere.path().join("Dockerfile"), folder.path().join("link")).unwrap();
        let failure = write_text(&folder.path().join("link"), "c").unwrap_err();
        assert!(failure.to_string().ends_with("which is in another folder"), "{failure}");
        assert_eq!(fs::read_to_string(elsewhere.path().join("Dockerfile")).unwrap(), "FROM a\n");
        let failure = write_text(folder.path(), "c").unwrap_err();
        assert!(failure.to_string().ends_with(": it is no file"), "{failure}");
    }

    #[test]
    fn what_has_changed_is_left_alone() {
        let folder = folder();
        let file = folder.path().join("Dockerfile");
        for before in ["FROM b\n", "FROM a\n\n", "FROM a", ""] {
            let failure = replace_text(&file, before, "x").unwrap_err();
            assert_eq!(failure.to_string(), format!("writing {}: it has changed meanwhile", file.display()));
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "FROM a\n");
        assert_eq!(names(folder.path()), ["Dockerfile"]);
    }

    #[test]
    fn a_link_is_followed_within_its_folder_and_stays_one() {
        let folder = folder();
        fs::create_dir(folder.path().join("docker")).unwrap();
        fs::rename(folder.path().join("Dockerfile"), folder.path().join("docker/real")).unwrap();
        let link = folder.path().join("Dockerfile");
        symlink("docker/real", &link).unwrap();
        replace_text(&link, "FROM a\n", "FROM b\n").unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("docker/real"));
        assert_eq!(fs::read_to_string(folder.path().join("docker/real")).unwrap(), "FROM b\n");
    }

    #[test]
    fn a_link_out_of_its_folder_is_refused() {
        let (folder, elsewhere) = (folder(), folder());
        let link = folder.path().join("link");
        symlink(elsewhere.path().join("Dockerfile"), &link).unwrap();
        let failure = replace_text(&link, "FROM a\n", "FROM b\n").unwrap_err();
        assert!(failure.to_string().ends_with("which is in another folder"), "{failure}");
        assert_eq!(fs::read_to_string(elsewhere.path().join("Dockerfile")).unwrap(), "FROM a\n");
    }
}
