use corten_diagnostic::{Diagnose, Fault};

use super::super::{LockKind, refuse_conda};
use super::*;

pub(crate) const PIXI: &str = "\
version: 6
environments:
  default:
    indexes:
    - https://i.example/simple
    packages:
      linux-64:
      - conda: https://c.example/linux-64/python-3.12.1-hab00c5b_1_cpython.conda
      - conda: https://c.example/linux-64/openssl-3.2.0-hd590300_1.conda
      - pypi: https://f.example/a_b-1.0-py3-none-any.whl
      - pypi: git+https://g.example/r.git?subdirectory=py&rev=main#0123456789012345678901234567890123456789
      - pypi: ./
  gpu:
    packages:
      linux-64:
      - conda: https://c.example/linux-64/ffmpeg-6.1-h.conda
      - conda: https://c.example/linux-64/pytorch-2.1.0-cuda.conda
      - conda: https://c.example/noarch/jinja2-3.1-pyh.conda
      - conda: https://c.example/linux-64/cudnn-9.0-h.conda
      - conda: https://c.example/linux-64/libfoo-1.0-h.conda
packages:
- conda: https://c.example/noarch/jinja2-3.1-pyh.conda
  purls:
  - pkg:pypi/jinja2?source=hash-mapping
- pypi: https://f.example/a_b-1.0-py3-none-any.whl
  name: a-b
  version: '1.0'
  sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
- pypi: git+https://g.example/r.git?subdirectory=py&rev=main#0123456789012345678901234567890123456789
  name: r
  version: '2.0'
- pypi: ./
  name: app
  version: 0.1.0
";

pub(crate) const ENVIRONMENT: &str = "\
name: ldm
channels: [pytorch, defaults]
dependencies:
  - python=3.8.5
  - cudatoolkit=11.3
  - pip:
    - a==1.0
    - b
";

fn lock(text: &str) -> LockText {
    LockText::new(LockKind::Pixi, "pixi.lock", text)
}

fn try_read(text: &str, groups: &[&str]) -> Result<Resolved, Failure> {
    let asked = Asked { groups: groups.iter().map(|name| (*name).to_owned()).collect(), ..Asked::default() };
    read(&lock(text), &asked, &Environment::new("3.12.1", Architecture::Amd64))
}

#[test]
fn packages_of_an_index_are_read_and_those_of_conda_named() {
    let plain = try_read(PIXI, &[]).unwrap();
    let names: Vec<_> = plain.wanted.iter().map(|wanted| wanted.name.as_str()).collect();
    assert_eq!((names, plain.local[0].path.as_str()), (vec!["a-b", "r"], "."));
    let Files::Known(files) = &plain.wanted[0].files else { panic!("{:?}", plain.wanted[0]) };
    assert_eq!(files[0].digest.unwrap().hex(), "a".repeat(64));
    assert_eq!(plain.wanted[0].at.position().0, 25);
    let LockedFrom::Git(source) = &plain.wanted[1].from else { panic!("{:?}", plain.wanted[1]) };
    assert!(source.is_pinned() && source.subdirectory.as_deref() == Some("py"), "{source}");
    assert_eq!(plain.python_hint.as_deref(), Some("3.12"));
    assert_eq!(plain.groups_left_out, ["gpu"]);
    assert!(refuse_conda(&lock(PIXI), &plain.conda).is_none(), "the base has Python and openssl");
    assert_eq!(python(&lock(PIXI)).unwrap().as_deref(), None, "no entry of its own");
}

#[test]
fn what_only_conda_has_is_refused_with_what_to_do() {
    let gpu = try_read(PIXI, &["gpu"]).unwrap();
    let failure = refuse_conda(&lock(PIXI), &gpu.conda).unwrap();
    assert_eq!(
        failure.to_string(),
        "pixi.lock: 5 of its packages are of conda, which is not installed here: cudnn, ffmpeg, jinja2, libfoo, pytorch"
    );
    let hints = failure.hints();
    assert_eq!(hints[0], "an index has these: add them to pyproject.toml and run `uv lock`: jinja2, torch");
    assert_eq!(hints[1], "Debian has these: packages = [\"ffmpeg\"]");
    assert!(hints[2].starts_with("CUDA's libraries come with the wheels"));
    assert!(
        hints[3].contains("1 others are known to conda only, 'libfoo' the first") || hints[3].contains("libfoo"),
        "{hints:?}"
    );
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (from, to, says, line) in [
        ("version: 6", "version: 3", "version 3 of pixi.lock is not known, 5 to 7 are", 1),
        ("version: 6", "x: 6", "it does not say its 'version'", 1),
        ("linux-64:", "osx-64:", "it was not made for linux-64, but for osx-64", 4),
        (
            "- conda: https://c.example/linux-64/python",
            "- what: https://c.example/linux-64/python",
            "neither of conda nor of an index",
            8,
        ),
        ("'1.0'", "one", "'one' is not a version", 25),
        ("  default:\n", "  default: [\n", "broken YAML", 5),
    ] {
        assert!(PIXI.contains(from), "{from}");
        let failure = try_read(&PIXI.replacen(from, to, 1), &[]).unwrap_err();
        assert!(failure.to_string().contains(says), "{failure}\n{says}");
        let found = failure.span().unwrap().position().0;
        assert!(found == line || says == "broken YAML", "{failure} {found}");
        assert_eq!(failure.fault(), Fault::Input);
    }
    let failure = try_read(PIXI, &["gp"]).unwrap_err();
    assert_eq!((failure.fault(), failure.hints()), (Fault::Usage, vec!["did you mean 'gpu'?".to_owned()]));
}

#[test]
fn an_environment_is_no_lock() {
    let failure = refuse_environment(&LockText::new(LockKind::Conda, "environment.yml", ENVIRONMENT));
    assert_eq!(
        failure.to_string(),
        "environment.yml: it is no lock: it asks for 2 packages of conda and 2 of an index (1 of these without a version)"
    );
    assert_eq!(failure.hints()[2], "its Python 3.8.5 goes into .python-version");
}
