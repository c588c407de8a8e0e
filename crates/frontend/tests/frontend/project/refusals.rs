//! What cannot be computed: the reason, the line that causes it, what to try, and whether a build would help.

use std::path::Path;

use corten_diagnostic::{Diagnose, Fault};
use corten_frontend::python::project::{Project, Refusal, RefusalKind, own_wheel};

use super::folders::{folder, pyproject};

/// The refusal of a project whose folder the user knows as `app`.
fn refusal(files: &[(&str, &str)]) -> Refusal {
    let folder = folder(files);
    let shown = Path::new("app");
    let project = Project { folder: &folder, shown, version: None, git: None, ignored_above: &[], locked: None };
    own_wheel(&project).expect_err("is computed")
}

/// What is expected of one.
struct Expected<'e> {
    files: &'e [(&'e str, &'e str)],
    message: &'e str,
    /// File and line of the cause.
    place: Option<&'e str>,
    hint: Option<&'e str>,
    builds: bool,
}

fn check(expected: &Expected<'_>) {
    let refusal = refusal(expected.files);
    let message = refusal.to_string();
    assert!(message.contains(expected.message), "{message}");
    let place = refusal.span().map(|span| format!("{}:{}", span.file().display(), span.position().0));
    assert_eq!(place.as_deref(), expected.place, "{message}");
    let hints = refusal.hints().join("\n");
    assert_eq!(hints.is_empty(), expected.hint.is_none(), "{message}: {hints}");
    assert!(hints.contains(expected.hint.unwrap_or_default()), "{message}: {hints}");
    let kind = if expected.builds { RefusalKind::NeedsBuild } else { RefusalKind::Broken };
    assert_eq!(refusal.kind(), kind, "{message}");
    assert_eq!(refusal.fault(), Fault::Input);
}

#[test]
fn backends_and_plugins_that_are_not_known() {
    check(&Expected {
        files: &[(
            "pyproject.toml",
            "[build-system]\nrequires = [\"maturin\"]\nbuild-backend = \"maturin\"\n[project]\nname = \"demo\"\n",
        )],
        message: "cannot install demo without running code: build backend \"maturin\" is not one that corten computes",
        place: Some("app/pyproject.toml:3"),
        hint: Some("tool.uv.package = false and lock again"),
        builds: true,
    });
    check(&Expected {
        files: &[("pyproject.toml", "[build-system]\nrequires = []\nbuild-backend = \"x\"\nbackend-path = [\".\"]\n")],
        message: "cannot install app without running code: build-system.backend-path names code in this project",
        place: Some("app/pyproject.toml:4"),
        hint: None,
        builds: true,
    });
    check(&Expected {
        files: &[("pyproject.toml", "[build-system]\nrequires = [\"setuptools>=61\",\n  \"coherent.licensed\"]\n")],
        message: "build requirement \"coherent-licensed\" can change what is built",
        place: Some("app/pyproject.toml:3"),
        hint: Some("tool.uv.package = false and lock again"),
        builds: true,
    });
    let settings = pyproject("hatchling.build", "[tool.uv]\nconfig-settings = { x = \"y\" }\n")
        .replace("hatchling.build\"]", "hatchling\"]");
    check(&Expected {
        files: &[("pyproject.toml", &settings)],
        message: "[tool.uv.config-settings] is handed to the build backend",
        place: Some("app/pyproject.toml:9"),
        hint: None,
        builds: true,
    });
}

#[test]
fn hooks_and_scripts_are_code() {
    let hook = pyproject("hatchling.build", "[tool.hatch.build.hooks.custom]\n");
    check(&Expected {
        files: &[("pyproject.toml", &hook), ("demo/__init__.py", ""), ("hatch_build.py", "")],
        message: "[tool.hatch.build.hooks.custom] runs hatch_build.py",
        place: Some("app/pyproject.toml:8"),
        hint: None,
        builds: true,
    });
    let metadata = pyproject("hatchling.build", "dynamic = [\"dependencies\"]\n[tool.hatch.metadata.hooks.custom]\n");
    check(&Expected {
        files: &[("pyproject.toml", &metadata), ("demo/__init__.py", "")],
        message: "[tool.hatch.metadata.hooks.custom] computes \"dependencies\"",
        place: Some("app/pyproject.toml:9"),
        hint: None,
        builds: true,
    });
    let plain = pyproject("setuptools.build_meta", "");
    check(&Expected {
        files: &[
            ("pyproject.toml", &plain),
            ("demo/__init__.py", ""),
            (
                "setup.py",
                "from setuptools import setup, Extension\n\nsetup(\n    ext_modules=[Extension('a', ['a.c'])],\n)\n",
            ),
        ],
        message: "setup.py has code (line 3: ext_modules=…)",
        place: Some("app/setup.py:3"),
        hint: Some("a setup.py that only calls setup() is fine"),
        builds: true,
    });
    check(&Expected {
        files: &[("pyproject.toml", &plain), ("setup.py", "import os\nos.system('rm -rf /')\n")],
        message: "setup.py has code (line 2: os)",
        place: Some("app/setup.py:2"),
        hint: Some("[project]"),
        builds: true,
    });
    check(&Expected {
        files: &[("pyproject.toml", &plain), ("setup.py", "from helpers import setup\nsetup()\n"), ("helpers.py", "")],
        message: "setup.py has code (setup is not that of setuptools)",
        place: None,
        hint: None,
        builds: true,
    });
    let extension =
        pyproject("setuptools.build_meta", "[tool.setuptools]\next-modules = [{name = \"a\", sources = [\"a.c\"]}]\n");
    check(&Expected {
        files: &[("pyproject.toml", &extension)],
        message: "[tool.setuptools.ext-modules] needs a compiler",
        place: Some("app/pyproject.toml:9"),
        hint: None,
        builds: true,
    });
    let script = pyproject("poetry.core.masonry.api", "[tool.poetry.build]\nscript = \"build.py\"\n");
    check(&Expected {
        files: &[("pyproject.toml", &script), ("demo/__init__.py", "")],
        message: "[tool.poetry.build] is a build script",
        place: Some("app/pyproject.toml:8"),
        hint: None,
        builds: true,
    });
}

#[test]
fn versions_that_would_have_to_be_computed() {
    let dynamic =
        |backend: &str, more: &str| pyproject(backend, more).replace("version = \"1\"", "dynamic = [\"version\"]");
    let attribute =
        dynamic("setuptools.build_meta", "[tool.setuptools.dynamic]\nversion = {attr = \"demo.__version__\"}\n");
    check(&Expected {
        files: &[("pyproject.toml", &attribute), ("demo/__init__.py", "import x\n__version__ = x.version()\n")],
        message: "demo/__init__.py:2 __version__ is computed, not a literal",
        place: Some("app/demo/__init__.py:2"),
        hint: None,
        builds: true,
    });
    let vcs = dynamic("hatchling.build", "[tool.hatch.version]\nsource = \"vcs\"\n");
    check(&Expected {
        files: &[("pyproject.toml", &vcs), ("demo/__init__.py", "")],
        message: "version comes from git tags and this checkout has none (shallow clone?)",
        place: None,
        hint: Some("SETUPTOOLS_SCM_PRETEND_VERSION"),
        builds: true,
    });
    let code = dynamic("hatchling.build", "[tool.hatch.version]\nsource = \"nodejs\"\n");
    check(&Expected {
        files: &[("pyproject.toml", &code), ("demo/__init__.py", "")],
        message: "is \"nodejs\", which is code",
        place: Some("app/pyproject.toml:9"),
        hint: None,
        builds: true,
    });
    let call = dynamic("pdm.backend", "[tool.pdm.version]\nsource = \"call\"\ngetter = \"demo:version\"\n");
    check(&Expected {
        files: &[("pyproject.toml", &call), ("demo/__init__.py", "")],
        message: "[tool.pdm.version] takes the version from call",
        place: Some("app/pyproject.toml:8"),
        hint: None,
        builds: true,
    });
    let pattern = dynamic(
        "hatchling.build",
        "[tool.hatch.version]\npath = \"demo/__init__.py\"\npattern = \"(?<=v)(?P<version>.+)\"\n",
    );
    check(&Expected {
        files: &[("pyproject.toml", &pattern), ("demo/__init__.py", "v1")],
        message: "the regular expression is beyond what is read without Python",
        place: Some("app/pyproject.toml:10"),
        hint: None,
        builds: true,
    });
}

#[test]
fn projects_that_their_backends_refuse_too() {
    let hatch = pyproject("hatchling.build", "");
    check(&Expected {
        files: &[("pyproject.toml", &hatch), ("other/__init__.py", "")],
        message: "cannot install demo: hatchling finds no folder \"demo\" or \"src/demo\"",
        place: None,
        hint: Some("[tool.hatch.build.targets.wheel] packages"),
        builds: false,
    });
    let plain = pyproject("setuptools.build_meta", "");
    check(&Expected {
        files: &[("pyproject.toml", &plain), ("data/x.csv", ""), ("demo/__init__.py", "")],
        message: "setuptools finds several top-level packages (data, demo) in a flat layout and refuses to guess",
        place: None,
        hint: Some("[tool.setuptools] packages"),
        builds: false,
    });
    let broken = pyproject("hatchling.build", "").replace("name = \"demo\"", "name = ");
    check(&Expected {
        files: &[("pyproject.toml", &broken)],
        message: "app/pyproject.toml: broken TOML",
        place: Some("app/pyproject.toml:6"),
        hint: None,
        builds: false,
    });
    let wrong = pyproject("flit_core.buildapi", "dependencies = [\n  \"numpy >\",\n]\n");
    check(&Expected {
        files: &[("pyproject.toml", &wrong), ("demo/__init__.py", "")],
        message: "'numpy >' is not a requirement",
        place: Some("app/pyproject.toml:9"),
        hint: None,
        builds: false,
    });
    let kind = pyproject("pdm.backend", "[tool.pdm.build]\nincludes = \"demo\"\n");
    check(&Expected {
        files: &[("pyproject.toml", &kind), ("demo/__init__.py", "")],
        message: "tool.pdm.build.includes is no list",
        place: Some("app/pyproject.toml:9"),
        hint: None,
        builds: false,
    });
    let headers = pyproject("pdm.backend", "[tool.pdm.build.wheel-data]\ninclude = [\"*.h\"]\n");
    check(&Expected {
        files: &[("pyproject.toml", &headers), ("demo/__init__.py", "")],
        message: "tool.pdm.build.wheel-data.include is none of scripts, purelib, platlib, data",
        place: Some("app/pyproject.toml:9"),
        hint: None,
        builds: false,
    });
    let collision =
        pyproject("hatchling.build", "[tool.hatch.build.targets.wheel.force-include]\n\"VERSION\" = \"demo/v.txt\"\n");
    check(&Expected {
        files: &[("pyproject.toml", &collision), ("demo/__init__.py", ""), ("demo/v.txt", ""), ("VERSION", "")],
        message: "two sources for demo/v.txt: force-include \"VERSION\" and the selected file",
        place: None,
        hint: None,
        builds: false,
    });
    check(&Expected {
        files: &[("pyproject.toml", &plain), ("demo/__init__.py", ""), ("MANIFEST.in", "# x\ngraft demo\ninclud x\n")],
        message: "MANIFEST.in: 'includ' is no command",
        place: Some("app/MANIFEST.in:3"),
        hint: None,
        builds: false,
    });
}
