//! What the image's files let somebody do who got hold of the service.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::bundle::Bundle;
use crate::image::{Distroless, Slim, Variant};

const SERVICE: u32 = 10001;

/// Who may write where the service need not: nobody but these folders' owner, or everybody to what is swept (`+t`).
const WRITABLE: [&str; 4] = ["/home/app", "/run/lock", "/tmp", "/var/tmp"];

#[test]
fn no_file_of_distroless_gives_privileges() {
    gives_no_privileges(Distroless);
}

#[test]
fn no_file_of_slim_gives_privileges() {
    gives_no_privileges(Slim);
}

fn gives_no_privileges(variant: Variant) {
    let Some(bundle) = Bundle::of(variant) else { return };
    let files = walk(&bundle.root);
    assert!(files.len() > 1000);
    for file in files {
        let (path, mode) = (&file.path, file.metadata.mode());
        assert!(!path.ends_with("/corten.lock"), "{path}");
        assert!(!file.metadata.is_file() || mode & 0o6000 == 0, "{path} sets an identity: {mode:o}");
        assert!(!has_capabilities(&bundle.root.join(&path[1..])), "{path} has capabilities");
        let is_ours = [file.metadata.uid(), file.metadata.gid()].contains(&SERVICE);
        let all_may_write = !file.metadata.is_symlink() && mode & 0o002 != 0;
        assert!(WRITABLE.contains(&path.as_str()) || !(is_ours || all_may_write), "{path} can be written to: {mode:o}");
        if path == "/app" || path.starts_with("/app/") {
            let may_write = if file.metadata.is_symlink() { 0 } else { mode & 0o022 };
            assert_eq!((file.metadata.uid(), file.metadata.gid(), may_write), (0, 0, 0), "{path}");
        }
    }
}

fn has_capabilities(path: &Path) -> bool {
    rustix::fs::lgetxattr(path, "security.capability", &mut [0; 64]).is_ok()
}

/// A file of an image.
pub struct File {
    /// `/usr/bin/python3.11`.
    pub path: String,
    pub metadata: Metadata,
}

/// Everything below `root`.
pub fn walk(root: &Path) -> Vec<File> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap().map(Result::unwrap) {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            let path = format!("/{}", entry.path().strip_prefix(root).unwrap().to_str().unwrap());
            files.push(File { path, metadata });
        }
    }
    files
}
