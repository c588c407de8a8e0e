//! setup.py files that may be ignored: they call `setup()` with literals (or with `find_packages` of literals) and do
//! nothing else.

use crate::python::project::Context;
use crate::python::project::folder::Text;
use crate::python::project::python::{Constant, Literal, Statement, Token, Which, constant, keywords, statements};
use crate::python::project::refusal::{Outcome, Refusal};

/// Keywords of `setup()` that are data.
const DATA: [&str; 37] = [
    "name",
    "version",
    "description",
    "long_description",
    "long_description_content_type",
    "author",
    "author_email",
    "maintainer",
    "maintainer_email",
    "url",
    "download_url",
    "project_urls",
    "license",
    "license_file",
    "license_files",
    "license_expression",
    "classifiers",
    "keywords",
    "platforms",
    "packages",
    "py_modules",
    "package_dir",
    "package_data",
    "exclude_package_data",
    "include_package_data",
    "data_files",
    "scripts",
    "zip_safe",
    "install_requires",
    "extras_require",
    "python_requires",
    "entry_points",
    "tests_require",
    "test_suite",
    "namespace_packages",
    "provides",
    "obsoletes",
];

/// The keywords of its call; empty where there is no setup.py.
pub(super) fn read(context: &Context<'_>) -> Outcome<Vec<(String, Literal)>> {
    let Some(text) = context.text("setup.py")? else { return Ok(Vec::new()) };
    let statements = statements(&text.text);
    check_imports(&text)?;
    let mut rest = &statements[..];
    let mut call = None;
    while let Some((statement, behind)) = rest.split_first() {
        rest = behind;
        let block = behind.iter().take_while(|next| next.indent > statement.indent).count();
        match head(statement) {
            Head::Harmless => {}
            Head::Setup(arguments) if call.is_none() => call = Some(read_call(&text, statement, arguments)?),
            Head::VersionCheck => rest = behind.get(block..).unwrap_or_default(),
            Head::MainGuard => {}
            Head::Setup(_) | Head::Code => return Err(code(&text, statement, &first_word(statement))),
        }
    }
    Ok(call.unwrap_or_default())
}

/// The names that mean something here have to be setuptools' own.
fn check_imports(text: &Text) -> Outcome<()> {
    for name in ["setup", "setuptools", "find_packages", "find_namespace_packages"] {
        match constant(text, name, Which::Last) {
            None => {}
            Some(Constant::Imported { module, .. }) if matches!(module.as_str(), "setuptools" | "distutils.core") => {}
            Some(_) => {
                return Err(Refusal::needs_build(format!("setup.py has code ({name} is not that of setuptools)")));
            }
        }
    }
    Ok(())
}

enum Head<'t> {
    Harmless,
    Setup(&'t [Token]),
    /// `if sys.version_info …:`; its block refuses old Pythons.
    VersionCheck,
    MainGuard,
    Code,
}

fn head(statement: &Statement) -> Head<'_> {
    let is = |token: Option<&Token>, word: &str| matches!(token, Some(Token::Name(name)) if name == word);
    let tokens = &statement.tokens[..];
    match tokens {
        [Token::Text(_)] => Head::Harmless,
        [first, ..] if is(Some(first), "import") || is(Some(first), "from") => Head::Harmless,
        [Token::Name(setup), Token::Sign('('), arguments @ ..] if setup == "setup" => Head::Setup(arguments),
        [Token::Name(module), Token::Sign('.'), Token::Name(setup), Token::Sign('('), arguments @ ..]
            if setup == "setup" && matches!(module.as_str(), "setuptools" | "core") =>
        {
            Head::Setup(arguments)
        }
        [first, rest @ ..] if is(Some(first), "if") && statement.indent == 0 => match rest {
            [sys, Token::Sign('.'), info, ..] if is(Some(sys), "sys") && is(Some(info), "version_info") => {
                Head::VersionCheck
            }
            [name, .., Token::Sign(':')] if is(Some(name), "__name__") => Head::MainGuard,
            _ => Head::Code,
        },
        _ => Head::Code,
    }
}

fn read_call(text: &Text, statement: &Statement, arguments: &[Token]) -> Outcome<Vec<(String, Literal)>> {
    let found = keywords(arguments).map_err(|what| code(text, statement, &what))?;
    match found.iter().find(|(key, _)| !DATA.contains(&key.as_str())) {
        Some((key, _)) => Err(code(text, statement, &format!("{key}=…"))),
        None => Ok(found),
    }
}

fn first_word(statement: &Statement) -> String {
    match statement.tokens.first() {
        Some(Token::Name(name)) => name.clone(),
        _ => "an expression".to_owned(),
    }
}

fn code(text: &Text, statement: &Statement, what: &str) -> Refusal {
    Refusal::needs_build(format!("setup.py has code (line {}: {what})", statement.line))
        .at(Some(text.line(statement.line)))
        .hint("move the metadata to [project]; a setup.py that only calls setup() is fine")
}
