//! Trees and settings that attack: nothing outside the project is shipped, nothing ends badly, all in bounded time.

use std::path::Path;

use corten_diagnostic::Failure;
use corten_frontend::python::project::{Content, Folder, Kind, Listed, OwnWheel, Project, Refusal, own_wheel};

use super::folders::{Memory, folder, pyproject};

const BACKENDS: [&str; 6] = [
    "hatchling.build",
    "setuptools.build_meta",
    "flit_core.buildapi",
    "poetry.core.masonry.api",
    "pdm.backend",
    "uv_build",
];

fn compute(folder: &dyn Folder) -> Result<OwnWheel, Refusal> {
    let shown = Path::new("app");
    own_wheel(&Project { folder, shown, version: None, git: None, ignored_above: &[], locked: None })
}

/// Files in memory, with links.
struct Linked(Memory, Vec<(&'static str, &'static str)>);

impl Folder for Linked {
    fn entries(&self) -> Result<Vec<Listed>, Failure> {
        let link =
            |(path, to): &(&str, &str)| Listed { path: (*path).to_owned(), kind: Kind::Link { to: (*to).to_owned() } };
        let mut listed = self.0.entries()?;
        listed.extend(self.1.iter().map(link));
        Ok(listed)
    }

    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Failure> {
        self.0.read(path, limit)
    }
}

/// A wheel holds nothing but listed files, at paths below it.
fn assert_contained(wheel: &OwnWheel, folder: &dyn Folder) {
    let listed: Vec<String> = folder.entries().unwrap().into_iter().map(|listed| listed.path).collect();
    for file in &wheel.files {
        assert!(file.path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{}", file.path);
        if let Content::File(source) = &file.content {
            assert!(listed.contains(source), "{source}");
        }
    }
}

fn with(backend: &str, more: &str) -> Memory {
    let toml = pyproject(backend, more);
    folder(&[("pyproject.toml", &toml), ("src/demo/__init__.py", ""), ("x.txt", ""), ("bin/run", "#!/bin/sh\n")])
}

#[test]
fn links_out_of_the_project_are_not_shipped() {
    for backend in BACKENDS {
        let links = vec![("src/demo/secret.py", "/etc/passwd"), ("src/demo/up.py", "../../../x")];
        let linked = Linked(with(backend, ""), links);
        let refusal = compute(&linked).expect_err(backend);
        assert!(refusal.to_string().contains("it is a link that leaves the project"), "{backend}: {refusal}");
    }
}

#[test]
fn links_elsewhere_hurt_nobody() {
    for backend in BACKENDS {
        let linked = Linked(with(backend, ""), vec![("data", "/mnt/data"), ("loop", "."), ("gone", "nothing")]);
        let wheel = compute(&linked).unwrap_or_else(|refusal| panic!("{backend}: {refusal}"));
        assert_contained(&wheel, &linked);
        assert!(wheel.files.iter().any(|file| file.path == "demo/__init__.py"), "{backend}");
    }
}

#[test]
fn links_that_loop_are_refused_when_shipped() {
    for backend in BACKENDS {
        let linked = Linked(with(backend, ""), vec![("src/demo/again.py", "again.py"), ("src/demo/round", "../demo")]);
        assert!(compute(&linked).is_err(), "{backend}");
    }
}

#[test]
fn settings_cannot_reach_outside() {
    let attacks = [
        ("hatchling.build", "[tool.hatch.build.targets.wheel]\npackages = [\"../other\"]\n"),
        ("hatchling.build", "[tool.hatch.build.targets.wheel]\nonly-include = [\"/etc\"]\n"),
        ("hatchling.build", "[tool.hatch.build.targets.wheel.force-include]\n\"/etc/passwd\" = \"demo/p\"\n"),
        ("hatchling.build", "[tool.hatch.build.targets.wheel.force-include]\n\"x.txt\" = \"../../p\"\n"),
        ("hatchling.build", "[tool.hatch.build.targets.wheel.shared-data]\n\"x.txt\" = \"../../../etc/p\"\n"),
        ("hatchling.build", "[tool.hatch.build.targets.wheel.sources]\n\"src\" = \"../up\"\n"),
        ("hatchling.build", "[tool.hatch.build.hooks.version]\npath = \"../../v.py\"\n"),
        ("setuptools.build_meta", "[tool.setuptools]\npackage-dir = {\"\" = \"../up\"}\n"),
        ("setuptools.build_meta", "[tool.setuptools]\npackages = [\"../../etc\"]\n"),
        ("setuptools.build_meta", "[tool.setuptools.data-files]\n\"../../etc\" = [\"x.txt\"]\n"),
        ("setuptools.build_meta", "[tool.setuptools.packages.find]\nwhere = [\"..\"]\n"),
        ("setuptools.build_meta", "[tool.setuptools]\nscript-files = [\"../run\"]\n"),
        ("flit_core.buildapi", "[tool.flit.external-data]\ndirectory = \"../etc\"\n"),
        (
            "poetry.core.masonry.api",
            "[tool.poetry]\npackages = [{include = \"demo\", from = \"src\", to = \"../../up\"}]\n",
        ),
        ("poetry.core.masonry.api", "[tool.poetry]\npackages = [{include = \"../other\"}]\n"),
        ("poetry.core.masonry.api", "[tool.poetry.scripts]\nx = {reference = \"../run\", type = \"file\"}\n"),
        ("pdm.backend", "[tool.pdm.build]\npackage-dir = \"../up\"\n"),
        ("pdm.backend", "[tool.pdm.build.wheel-data]\n\"../../etc\" = [\"x.txt\"]\n"),
        ("pdm.backend", "[tool.pdm.build.wheel-data]\ndata = [{path = \"x.txt\", relative-to = \"../..\"}]\n"),
        ("uv_build", "[tool.uv.build-backend]\nmodule-root = \"../up\"\n"),
        ("uv_build", "[tool.uv.build-backend]\nmodule-name = \"../up\"\n"),
        ("uv_build", "[tool.uv.build-backend]\ndata = {scripts = \"../bin\"}\n"),
        ("flit_core.buildapi", "readme = \"../../secret\"\n"),
        ("flit_core.buildapi", "license-files = [\"../../*\"]\n"),
        ("uv_build", "license-files = [\"../*\"]\n"),
        ("flit_core.buildapi", "license = { file = \"/etc/passwd\" }\n"),
    ];
    for (backend, settings) in attacks {
        let folder = with(backend, settings);
        match compute(&folder) {
            Ok(wheel) => {
                panic!("{settings} is computed: {:?}", wheel.files.iter().map(|file| &file.path).collect::<Vec<_>>())
            }
            Err(refusal) => {
                let reason = refusal.reason();
                let right =
                    ["leaves", "outside", "not there", "no folder", "is none of", "is no package", "is no module"];
                assert!(right.iter().any(|word| reason.contains(word)), "{settings}: {reason}");
            }
        }
    }
}

#[test]
fn texts_cannot_smuggle_lines() {
    let attacks = [
        "description = \"x\\nRequires-Dist: evil\"\n",
        "classifiers = [\"a\\nRequires-Dist: evil\"]\n",
        "authors = [{name = \"a\\nRequires-Dist: evil\", email = \"b\\nRequires-Dist: evil\"}]\n",
        "[project.urls]\n\"a\\nRequires-Dist: evil\" = \"b\"\n",
    ];
    for attack in attacks {
        let folder = with("flit_core.buildapi", attack);
        let wheel = compute(&folder).unwrap_or_else(|refusal| panic!("{attack}: {refusal}"));
        let metadata = wheel.info("METADATA").unwrap();
        assert!(!metadata.lines().any(|line| line.starts_with("Requires-Dist")), "{metadata}");
    }
    for attack in [
        "[project.scripts]\n\"a\\n[console_scripts]\\nb\" = \"c:d\"\n",
        "[project.scripts]\na = \"c:d\\nb = evil:main\"\n",
        "[project.entry-points.\"x]\\n[console_scripts\"]\na = \"b:c\"\n",
    ] {
        let folder = with("flit_core.buildapi", attack);
        assert!(compute(&folder).is_err(), "{attack}");
    }
}

#[test]
fn names_that_no_wheel_can_hold_are_refused() {
    for name in ["src/demo/a\nb.py", "src/demo/a\\b.py", "src/demo/a\u{fffd}.py"] {
        for backend in BACKENDS {
            let mut folder = with(backend, "");
            folder.0.insert(name.to_owned(), Vec::new());
            assert!(compute(&folder).is_err(), "{backend} {name:?}");
        }
    }
}

#[test]
fn texts_of_every_kind_end() {
    let long = "[".repeat(200_000);
    let hostile =
        ["\u{feff}", "\0", "[project]\nname = 1", "[project]\nname = \"..\"\nversion = \"1\"", "project = []", &long];
    for text in hostile {
        assert!(compute(&folder(&[("pyproject.toml", text)])).is_err());
    }
    for (file, text) in [
        ("setup.py", long.as_str()),
        ("setup.cfg", long.as_str()),
        ("MANIFEST.in", "include \\\n\\\n\\"),
        (".gitignore", long.as_str()),
    ] {
        let toml = pyproject("setuptools.build_meta", "");
        let _ = compute(&folder(&[("pyproject.toml", &toml), ("demo/__init__.py", ""), (file, text)]));
    }
    let deep = format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(compute(&folder(&[("pyproject.toml", &deep)])).is_err());
    for pattern in ["(((v+)*)+)*x(?P<version>.)$", "(((a{999}){999}){999})(?P<version>.)"] {
        let settings = format!("[tool.hatch.version]\npath = \"v.txt\"\npattern = \"{pattern}\"\n");
        let toml = pyproject("hatchling.build", &settings).replace("version = \"1\"", "dynamic = [\"version\"]");
        let text = "v".repeat(100_000);
        assert!(compute(&folder(&[("pyproject.toml", &toml), ("demo.py", ""), ("v.txt", &text)])).is_err());
    }
    let globs = format!("license-files = [{}]\n", "\"*a*a*a*b\",".repeat(3000));
    let refusal = compute(&with("flit_core.buildapi", &globs)).unwrap_err();
    assert!(refusal.reason().contains("more than 2000 items"), "{refusal}");
    for (backend, file, head, unit) in [
        ("hatchling.build", ".gitignore", "", "*a*b\n"),
        ("setuptools.build_meta", "MANIFEST.in", "", "include *a*b\n"),
        ("setuptools.build_meta", "setup.cfg", "[options]\npy_modules =\n", "  a\n"),
    ] {
        let mut many = with(backend, "");
        many.0.insert(file.to_owned(), format!("{head}{}", unit.repeat(6000)).into_bytes());
        let refusal = compute(&many).expect_err(file);
        assert!(refusal.reason().contains("has more than"), "{refusal}");
    }
    let bytes = Memory([("pyproject.toml".to_owned(), vec![0xff, 0xfe])].into());
    assert!(compute(&bytes).is_err());
}

#[test]
fn secrets_are_told() {
    let toml = pyproject("uv_build", "");
    let wheel = compute(&folder(&[
        ("pyproject.toml", &toml),
        ("src/demo/__init__.py", ""),
        ("src/demo/.env", "TOKEN=1"),
        ("src/demo/tls/server.key", ""),
        (".env", "TOKEN=2"),
    ]));
    assert_eq!(wheel.unwrap().secrets, ["demo/.env", "demo/tls/server.key"]);
}
