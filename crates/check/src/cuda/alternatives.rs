//! Other wheels of the same package that would fit.

use corten_package::pep440::Version;

use super::architectures::would_fit;
use super::contents::{Code, Contents};
use super::data::{Wheel, tables};
use super::fit::Target;

/// How many are named.
const MOST: usize = 3;

/// In the words of a hint, best first: the same version made with another CUDA, then other versions.
pub(super) fn alternatives(name: &str, version: &str, contents: &Contents, target: &Target) -> Vec<String> {
    let Ok(own) = version.parse::<Version>() else { return Vec::new() };
    let fits = |wheel: &&Wheel| {
        let code = Code {
            package: name.to_owned(),
            file: None,
            cubins: wheel.cubins.clone(),
            ptx: wheel.ptx.clone(),
            source: String::new(),
        };
        wheel.name == name
            && wheel.platform.as_deref().is_none_or(|platform| platform == contents.architecture)
            && wheel.cuda.is_some_and(|cuda| would_fit(&code, cuda, target))
    };
    let rows: Vec<&Wheel> = tables().wheels.iter().filter(fits).collect();
    let same = rows.iter().filter(|wheel| wheel.local.is_some() && wheel.versions.contains(&own.public()));
    let same = same.filter_map(|wheel| {
        let local = wheel.local.as_deref()?;
        Some(format!("{name} {}+{local}, of the index https://download.pytorch.org/whl/{local}", own.public()))
    });
    let mut others: Vec<&&Wheel> = rows.iter().filter(|wheel| wheel.local.is_none()).collect();
    // The newest of those that are older, then the oldest of those that are newer.
    others.reverse();
    let others = others
        .into_iter()
        .filter_map(|wheel| Some(format!("{name} {} of PyPI (CUDA {})", wheel.versions.canonical(), wheel.cuda?)));
    same.chain(others).take(MOST).collect()
}
