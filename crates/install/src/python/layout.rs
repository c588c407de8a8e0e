//! Where a wheel's members go below the environment (PyPA, binary distribution format, "Installing a wheel").
//!
//! | in the wheel | below the prefix |
//! |---|---|
//! | anything else | `lib/python3.11/site-packages/` (purelib and platlib are one folder in a venv) |
//! | `N-V.data/purelib/`, `…/platlib/` | the same |
//! | `N-V.data/scripts/` | `bin/`, always executable |
//! | `N-V.data/headers/` | `include/site/python3.11/<name>/` |
//! | `N-V.data/data/` | the prefix itself |
//!
//! `lib64` of a venv is a link to `lib`, so what a wheel puts there goes to `lib`. The interpreter's own files
//! (`bin/python*`, `pyvenv.cfg`) cannot be replaced.

use super::InstallTarget;
use super::scripts::is_interpreter;

/// Where things are for one wheel.
pub(super) struct Layout<'a> {
    target: &'a InstallTarget,
    /// Normalised name of the project.
    project: &'a str,
    /// `N-V.data/`, as the wheel spells it.
    data: String,
}

/// Where one member goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    /// Below the image's root.
    pub path: String,
    /// Is it from `.data/scripts`?
    pub script: bool,
    /// Did it move out of `.data`?
    pub moved: bool,
}

impl<'a> Layout<'a> {
    /// `folder`: `N-V`, as the dist-info folder spells it.
    pub(super) fn new(target: &'a InstallTarget, project: &'a str, folder: &str) -> Self {
        Self { target, project, data: format!("{folder}.data/") }
    }

    /// The folder of pure and platform libraries.
    pub(super) fn site_packages(&self) -> String {
        let (major, minor) = self.target.python;
        format!("{}/lib/python{major}.{minor}/site-packages", self.target.prefix)
    }

    /// The path of a script.
    pub(super) fn script(&self, name: &str) -> String {
        format!("{}/bin/{name}", self.target.prefix)
    }

    /// Where a member goes, or why it is refused.
    pub(super) fn place(&self, member: &str) -> Result<Placed, String> {
        check_name(member)?;
        let Some(inner) = member.strip_prefix(&self.data) else {
            return Ok(Placed { path: format!("{}/{member}", self.site_packages()), script: false, moved: false });
        };
        let (scheme, rest) = inner.split_once('/').ok_or_else(|| format!("'{member}' is in no scheme of .data"))?;
        let (major, minor) = self.target.python;
        let prefix = &self.target.prefix;
        let path = match scheme {
            "purelib" | "platlib" => format!("{}/{rest}", self.site_packages()),
            "scripts" => format!("{prefix}/bin/{rest}"),
            "headers" => format!("{prefix}/include/site/python{major}.{minor}/{}/{rest}", self.project),
            "data" => format!("{prefix}/{}", through_lib64(rest)),
            other => return Err(format!("'{member}' is in an unknown scheme of .data, '{other}'")),
        };
        self.check_interpreter(member, &path)?;
        Ok(Placed { path, script: scheme == "scripts", moved: true })
    }

    fn check_interpreter(&self, member: &str, path: &str) -> Result<(), String> {
        let below = path.strip_prefix(self.target.prefix.as_str()).unwrap_or(path);
        let interpreter = match below.strip_prefix("/bin/") {
            Some(program) => is_interpreter(program.split('/').next().unwrap_or_default()),
            None => matches!(below, "/bin" | "/lib" | "/lib64" | "/pyvenv.cfg"),
        };
        if interpreter { Err(format!("'{member}' would replace a file of the environment itself")) } else { Ok(()) }
    }

    /// A path of the image as RECORD has it: relative to site-packages.
    pub(super) fn recorded(&self, path: &str) -> String {
        if let Some(inside) = path.strip_prefix(&self.site_packages()).and_then(|rest| rest.strip_prefix('/')) {
            return inside.to_owned();
        }
        let below = path.strip_prefix(self.target.prefix.as_str()).unwrap_or(path);
        format!("../../..{below}")
    }
}

/// Relative, no `.` or `..` or empty component, no drive, backslash or control character.
fn check_name(member: &str) -> Result<(), String> {
    let odd = member.chars().any(|character| character.is_control() || character == '\\');
    let climbs = member.split('/').any(|part| matches!(part, "" | "." | ".."));
    let drive = member.as_bytes().get(1) == Some(&b':');
    if odd || climbs || drive {
        return Err(format!("'{}' is no path below the wheel", member.escape_debug()));
    }
    Ok(())
}

fn through_lib64(path: &str) -> String {
    path.strip_prefix("lib64/").map_or_else(|| path.to_owned(), |rest| format!("lib/{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(member: &str) -> Result<String, String> {
        let target = InstallTarget { prefix: "opt/venv".to_owned(), python: (3, 11) };
        let layout = Layout::new(&target, "my-pkg", "My_Pkg-1.0");
        layout
            .place(member)
            .map(|placed| format!("{} {} {}", placed.path, placed.script, layout.recorded(&placed.path)))
    }

    #[test]
    fn every_scheme_has_its_folder() {
        for (member, placed) in [
            ("pkg/a.py", "opt/venv/lib/python3.11/site-packages/pkg/a.py false pkg/a.py"),
            (
                "other-1.data/scripts/x",
                "opt/venv/lib/python3.11/site-packages/other-1.data/scripts/x false other-1.data/scripts/x",
            ),
            ("My_Pkg-1.0.data/purelib/a", "opt/venv/lib/python3.11/site-packages/a false a"),
            ("My_Pkg-1.0.data/platlib/a/b", "opt/venv/lib/python3.11/site-packages/a/b false a/b"),
            ("My_Pkg-1.0.data/scripts/run", "opt/venv/bin/run true ../../../bin/run"),
            (
                "My_Pkg-1.0.data/headers/a.h",
                "opt/venv/include/site/python3.11/my-pkg/a.h false ../../../include/site/python3.11/my-pkg/a.h",
            ),
            ("My_Pkg-1.0.data/data/share/x", "opt/venv/share/x false ../../../share/x"),
            ("My_Pkg-1.0.data/data/lib64/x", "opt/venv/lib/x false ../../../lib/x"),
            ("My_Pkg-1.0.data/data/bin/tool", "opt/venv/bin/tool false ../../../bin/tool"),
        ] {
            assert_eq!(place(member).unwrap(), placed);
        }
    }

    /// Attacks F1 and F2.
    #[test]
    fn what_climbs_out_or_replaces_the_interpreter_is_refused() {
        for member in [
            "../x",
            "/etc/passwd",
            "a/../b",
            "a//b",
            "./a",
            "..\\x",
            "C:/x",
            "c:x",
            "a\nb",
            "a\0b",
            "",
            "My_Pkg-1.0.data/scripts/../../x",
            "My_Pkg-1.0.data/data/../../../etc/x",
            "My_Pkg-1.0.data/nowhere/x",
            "My_Pkg-1.0.data/x",
            "My_Pkg-1.0.data/scripts/python",
            "My_Pkg-1.0.data/scripts/Python3",
            "My_Pkg-1.0.data/data/bin/python3.11",
            "My_Pkg-1.0.data/data/bin/python/x",
            "My_Pkg-1.0.data/data/pyvenv.cfg",
            "My_Pkg-1.0.data/data/bin",
        ] {
            assert!(place(member).is_err(), "{member:?} -> {:?}", place(member));
        }
    }
}
