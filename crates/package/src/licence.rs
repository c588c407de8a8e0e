//! Licences of Python packages as SPDX expressions.

/// What a package's METADATA says about its licence.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stated<'a> {
    /// `License-Expression` (PEP 639).
    pub expression: Option<&'a str>,
    /// `License`: a name, or the whole text.
    pub text: Option<&'a str>,
    /// `Classifier`, all of them.
    pub classifiers: &'a [&'a str],
}

/// An SPDX expression for what is stated; `None` where that cannot be told for certain.
pub fn normalise(_stated: &Stated<'_>) -> Option<String> {
    todo!()
}
