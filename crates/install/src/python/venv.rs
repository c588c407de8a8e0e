//! The generated files that make a folder a virtual environment (PEP 405), for the interpreter of the base.
//!
//! Not written: `activate` scripts (PATH and VIRTUAL_ENV stand in the image's config), `.gitignore`, `CACHEDIR.TAG`.

use super::InstallTarget;

/// A generated file of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VenvFile {
    /// Below the image's root, without leading slash.
    pub path: String,
    /// What it is.
    pub kind: VenvKind,
}

/// What a generated file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VenvKind {
    /// Text, mode 0644.
    File(String),
    /// A symbolic link.
    Symlink(String),
}

/// The files, sorted by path. `interpreter`: absolute path in the image (`/usr/bin/python3.11`); `full_version`: 3.11.2.
pub fn generated_files(target: &InstallTarget, interpreter: &str, full_version: &str) -> Vec<VenvFile> {
    let home = interpreter.rsplit_once('/').map_or("/usr/bin", |(folder, _)| folder);
    let (major, minor) = target.python;
    let settings = format!(
        "home = {home}\nimplementation = CPython\nversion_info = {full_version}\ninclude-system-site-packages = false\n"
    );
    let link = |to: &str| VenvKind::Symlink(to.to_owned());
    let files = [
        ("bin/python".to_owned(), link(interpreter)),
        ("bin/python3".to_owned(), link("python")),
        (format!("bin/python{major}.{minor}"), link("python")),
        ("lib64".to_owned(), link("lib")),
        ("pyvenv.cfg".to_owned(), VenvKind::File(settings)),
    ];
    let mut files = files.map(|(name, kind)| VenvFile { path: format!("{}/{name}", target.prefix), kind }).to_vec();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_points_to_the_interpreter_of_the_base() {
        let target = InstallTarget { prefix: "opt/venv".to_owned(), python: (3, 11) };
        let files = generated_files(&target, "/usr/bin/python3.11", "3.11.2");
        let shown: Vec<_> = files.iter().map(|file| (file.path.as_str(), &file.kind)).collect();
        let link = |to: &str| VenvKind::Symlink(to.to_owned());
        let settings =
            "home = /usr/bin\nimplementation = CPython\nversion_info = 3.11.2\ninclude-system-site-packages = false\n";
        assert_eq!(
            shown,
            [
                ("opt/venv/bin/python", &link("/usr/bin/python3.11")),
                ("opt/venv/bin/python3", &link("python")),
                ("opt/venv/bin/python3.11", &link("python")),
                ("opt/venv/lib64", &link("lib")),
                ("opt/venv/pyvenv.cfg", &VenvKind::File(settings.to_owned())),
            ]
        );
    }
}
