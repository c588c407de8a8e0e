//! Which Python a project is for.

use corten_package::pep440::Specifiers;

/// A Python minor version and why it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonWish {
    /// 3, 11.
    pub version: (u32, u32),
    /// `.python-version says 3.11`.
    pub why: String,
}

/// The Python to take out of `offered` (best first): what `.python-version` says, else the lock's hint, else the first
/// that `requires_python` allows. `None`: none of the offered fits.
pub fn pick_python(
    _offered: &[(u32, u32)],
    _python_version_file: Option<&str>,
    _hint: Option<&str>,
    _requires_python: Option<&Specifiers>,
) -> Option<PythonWish> {
    todo!()
}
