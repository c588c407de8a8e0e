//! Trees that uv builds here and now, with the real backends: file by file, byte by byte, mode by mode.
//!
//! The fixtures say what the backends did with one setting at a time; these trees mix them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use corten_frontend::python::project::{Content, Folder, OwnWheel, Project, own_wheel};
use corten_layer::zip::Archive;

use crate::disk::Disk;
use crate::metadata;

const LIMIT: u64 = 1 << 20;

/// A project on the disk, with what is not a plain text.
struct Sample {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    executables: &'static [&'static str],
    links: &'static [(&'static str, &'static str)],
}

const HATCHLING: Sample = Sample {
    name: "hatchling",
    files: &[
        (
            "pyproject.toml",
            r#"[build-system]
requires = ["hatchling==1.33.0"]
build-backend = "hatchling.build"
[project]
name = "Mixed.App"
dynamic = ["version"]
description = "one line"
readme = "README.md"
license = "MIT"
requires-python = ">=3.9"
authors = [{ name = "A. B", email = "a@b.c" }, { name = "D" }]
keywords = ["z", "a"]
dependencies = ["Requests[socks]>=2; python_version<'4'", "numpy"]
[project.optional-dependencies]
Big_one = ["torch>=2; sys_platform=='linux' or os_name=='nt'"]
[project.scripts]
mixed = "mixed_app.cli:main"
[project.entry-points."x.y"]
z = "mixed_app:Z"
[tool.hatch.version]
path = "src/mixed_app/about.py"
[tool.hatch.build]
artifacts = ["*.so"]
[tool.hatch.build.targets.wheel]
packages = ["src/mixed_app", "extra/second"]
exclude = ["**/test_*.py", "!src/mixed_app/test_kept.py"]
[tool.hatch.build.targets.wheel.force-include]
"VERSION" = "mixed_app/VERSION"
[tool.hatch.build.targets.wheel.shared-data]
"etc" = "etc/mixed"
[tool.hatch.build.targets.wheel.shared-scripts]
"bin/tool.py" = "tool"
[tool.hatch.build.hooks.version]
path = "src/mixed_app/_generated.py"
"#,
        ),
        (".gitignore", "*.so\n*.log\n!keep.log\n/src/mixed_app/gen/\n_generated.py\n"),
        ("README.md", "# Mixed\n"),
        ("LICENSE", "MIT\n"),
        ("VERSION", "1\n"),
        ("src/mixed_app/__init__.py", ""),
        ("src/mixed_app/about.py", "VERSION = 'v2.0.RC1'\n"),
        ("src/mixed_app/cli.py", "def main(): pass\n"),
        ("src/mixed_app/data/x.json", "{}"),
        ("src/mixed_app/lib.so", "elf"),
        ("src/mixed_app/a.log", ""),
        ("src/mixed_app/keep.log", ""),
        ("src/mixed_app/gen/g.py", ""),
        ("src/mixed_app/test_a.py", ""),
        ("src/mixed_app/test_kept.py", ""),
        ("src/mixed_app/run.sh", "#!/bin/sh\n"),
        ("extra/second/__init__.py", ""),
        ("extra/second/.hidden", ""),
        ("etc/a.conf", ""),
        ("bin/tool.py", "#!/usr/bin/env python3 -u\nprint()\n"),
    ],
    executables: &["src/mixed_app/run.sh", "bin/tool.py"],
    links: &[("src/mixed_app/link.json", "data/x.json")],
};

const SETUPTOOLS: Sample = Sample {
    name: "setuptools",
    files: &[
        (
            "pyproject.toml",
            "[build-system]\nrequires = [\"setuptools==84.2.1\"]\nbuild-backend = \"setuptools.build_meta\"\n",
        ),
        (
            "setup.py",
            "#!/usr/bin/env python\nimport setuptools\n\nif __name__ == '__main__':\n    setuptools.setup()\n",
        ),
        (
            "setup.cfg",
            r"[metadata]
name = old-style
version = attr: old_style.__version__
description = one line
license_files =
    LICENSE
    doc/*.txt
[options]
packages = find:
package_dir =
    = lib
py_modules = alone
include_package_data = true
python_requires = >=3.8
install_requires =
    numpy>=1,<3
    torch; sys_platform == 'linux'
scripts =
    bin/run
[options.packages.find]
where = lib
exclude =
    old_style.skipped*
[options.package_data]
* = *.html
old_style = deep/**/*.yaml
[options.exclude_package_data]
old_style = secret.*
[options.extras_require]
GPU_x = cupy
[options.entry_points]
console_scripts =
    old = old_style:main
[options.data_files]
share/old = etc/*.conf
",
        ),
        ("MANIFEST.in", "recursive-include lib *.txt *.json\nglobal-exclude *.tmp.txt\nprune lib/old_style/no\n"),
        ("LICENSE", "x"),
        ("doc/a.txt", "x"),
        ("bin/run", "#!/usr/bin/python3\n"),
        ("etc/a.conf", "x"),
        ("lib/alone.py", ""),
        ("lib/unlisted.py", ""),
        ("lib/old_style/__init__.py", "from .meta import __version__\n__version__ = '1.02.0'\n"),
        ("lib/old_style/meta.py", "__version__ = '0'\n"),
        ("lib/old_style/a.txt", ""),
        ("lib/old_style/a.tmp.txt", ""),
        ("lib/old_style/secret.json", ""),
        ("lib/old_style/page.html", ""),
        ("lib/old_style/other.csv", ""),
        ("lib/old_style/deep/er/x.yaml", ""),
        ("lib/old_style/no/x.json", ""),
        ("lib/old_style/sub/__init__.py", ""),
        ("lib/old_style/sub/py.typed", ""),
        ("lib/old_style/plain/x.py", ""),
        ("lib/old_style/skipped/__init__.py", ""),
    ],
    executables: &["bin/run", "lib/old_style/meta.py", "lib/old_style/a.txt"],
    links: &[],
};

const FLIT: Sample = Sample {
    name: "flit",
    files: &[
        (
            "pyproject.toml",
            r#"[build-system]
requires = ["flit_core==4.2.0"]
build-backend = "flit_core.buildapi"
[project]
name = "my-flit"
dynamic = ["version", "description"]
license-files = ["COPYING*", "third/**/LICENSE"]
requires-python = ">=3.8,<4"
[project.gui-scripts]
show = "my_flit:show"
[tool.flit.external-data]
directory = "data"
"#,
        ),
        ("COPYING.txt", "x"),
        ("third/a/LICENSE", "x"),
        ("my_flit/__init__.py", "\"\"\"\nFirst line.\n\nmore\n\"\"\"\n__version__ = '0.1'\n"),
        ("my_flit/_version.py", "__version__ = '7'\n"),
        ("my_flit/.env.example", ""),
        ("my_flit/x.pyo", ""),
        ("my_flit/deep/a/b.txt", ""),
        ("data/share/x.txt", ""),
    ],
    executables: &["my_flit/deep/a/b.txt"],
    links: &[("my_flit/l.txt", "deep/a/b.txt"), ("my_flit/folder", "deep")],
};

const POETRY: Sample = Sample {
    name: "poetry",
    files: &[
        (
            "pyproject.toml",
            r#"[build-system]
requires = ["poetry-core==2.5.0"]
build-backend = "poetry.core.masonry.api"
[tool.poetry]
name = "Poet.App"
version = "1.0-rc.1"
description = "one line"
authors = ["A B <a@b.c>"]
readme = "README.md"
packages = [{ include = "poet", from = "src" }, { include = "stubs/**/*.py*" }, { include = "tests", format = "sdist" }]
include = [{ path = "conf", format = ["sdist", "wheel"] }, "CHANGES"]
exclude = ["src/poet/**/*.md", "conf/no.yaml"]
[tool.poetry.dependencies]
python = "^3.9"
numpy = "^1.2"
pandas = { version = "~2.1", extras = ["xlsx"], python = "<3.12" }
scipy = [{ version = "^1.9", markers = "sys_platform == 'linux'" }, { version = ">=1.8,<2", platform = "win32" }]
torch = { version = "*", optional = true }
pillow = "10.*"
exact = "0.0.3"
small = "^0.0.3"
[tool.poetry.extras]
Gpu_x = ["torch"]
[tool.poetry.scripts]
poet = "poet:main"
[tool.poetry.plugins."a.b"]
c = "poet:C"
"#,
        ),
        ("README.md", "x"),
        ("CHANGES", "x"),
        ("LICENSES/MIT.txt", "x"),
        ("src/poet/__init__.py", ""),
        ("src/poet/a.md", ""),
        ("src/poet/x.pyc", ""),
        ("src/poet/.hidden/y", ""),
        ("stubs/a/b.pyi", ""),
        ("stubs/a/c.pyi", ""),
        ("stubs/a/m.py", ""),
        ("stubs/a/n.pyi", ""),
        ("tests/t.py", ""),
        ("conf/yes.yaml", ""),
        ("conf/no.yaml", ""),
    ],
    executables: &["src/poet/.hidden/y"],
    links: &[],
};

const PDM: Sample = Sample {
    name: "pdm",
    files: &[
        (
            "pyproject.toml",
            r#"[build-system]
requires = ["pdm-backend==2.5.0"]
build-backend = "pdm.backend"
[project]
name = "pdm-app"
dynamic = ["version"]
license = { text = "MIT" }
dependencies = ["numpy>=1"]
[tool.pdm.version]
source = "file"
path = "lib/pdm_app/__init__.py"
pattern = "release = (.+)"
[tool.pdm.build]
package-dir = "lib"
includes = ["lib/pdm_app", "lib/*.py", "lib/pdm_app/big/keep.bin"]
excludes = ["lib/pdm_app/big", "**/*.tmp", "lib/no.py"]
source-includes = ["tests", "lib/pdm_app/only_source"]
[tool.pdm.build.wheel-data]
scripts = ["bin/*"]
data = [{ path = "inc/**/*.h", relative-to = "inc" }]
"#,
        ),
        ("LICENSE.md", "x"),
        ("lib/pdm_app/__init__.py", "# release = 1.2.post3\n"),
        ("lib/pdm_app/big/keep.bin", "x"),
        ("lib/pdm_app/big/lost.bin", "x"),
        ("lib/pdm_app/a.tmp", ""),
        ("lib/pdm_app/.dot", ""),
        ("lib/pdm_app/only_source/x.py", ""),
        ("lib/yes.py", ""),
        ("lib/no.py", ""),
        ("lib/other/__init__.py", ""),
        ("bin/go", "#!/bin/sh\n"),
        ("inc/a/b.h", ""),
    ],
    executables: &["bin/go"],
    links: &[],
};

const UV: Sample = Sample {
    name: "uv-build",
    files: &[
        (
            "pyproject.toml",
            r#"[build-system]
requires = ["uv_build==0.13.9"]
build-backend = "uv_build"
[project]
name = "uv-app"
version = "1.2"
description = "one line"
license = "MIT"
license-files = ["LICEN[CS]E*", "third/**/NOTICE"]
requires-python = ">=3.9"
dependencies = ["torch>=2; sys_platform == 'linux'"]
[project.scripts]
uv-app = "uv_app:main"
[tool.uv.build-backend]
module-name = ["uv_app", "space.one"]
wheel-exclude = ["*.bin", "/src/uv_app/only/**", "nested/deep"]
source-exclude = ["skip_me"]
data = { data = "share", scripts = "bin" }
"#,
        ),
        ("LICENSE", "x"),
        ("third/x/NOTICE", "x"),
        ("src/uv_app/__init__.py", ""),
        ("src/uv_app/a.bin", ""),
        ("src/uv_app/only/x.txt", ""),
        ("src/uv_app/nested/deep/x.txt", ""),
        ("src/uv_app/nested/kept.txt", ""),
        ("src/uv_app/skip_me/x.txt", ""),
        ("src/uv_app/.dot/x", ""),
        ("src/space/one/__init__.py", ""),
        ("src/space/two/__init__.py", ""),
        ("share/etc/x.conf", ""),
        ("bin/go.sh", "#!/bin/sh\n"),
    ],
    executables: &["bin/go.sh", "src/uv_app/nested/kept.txt"],
    links: &[("src/uv_app/l.txt", "nested/kept.txt")],
};

impl Sample {
    fn write(&self, root: &Path) -> std::io::Result<PathBuf> {
        let folder = root.join(self.name);
        for (path, text) in self.files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap_or(&folder))?;
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        }
        for path in self.executables {
            fs::set_permissions(folder.join(path), fs::Permissions::from_mode(0o755))?;
        }
        for (path, to) in self.links {
            symlink(to, folder.join(path))?;
        }
        Ok(folder)
    }
}

/// uv, with a cache of its own.
fn uv(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("UV_CACHE_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("uv-cache"));
    for variable in ["UV_PROJECT_ENVIRONMENT", "VIRTUAL_ENV", "UV_INDEX_URL"] {
        command.env_remove(variable);
    }
    command
}

fn run(command: &mut Command) {
    let ran = command.output().expect("the program starts");
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

fn compute(folder: &Path) -> (OwnWheel, Disk) {
    let disk = Disk::new(folder);
    let project =
        Project { folder: &disk, shown: Path::new(""), version: None, git: None, ignored_above: &[], locked: None };
    let wheel = own_wheel(&project).unwrap_or_else(|refusal| panic!("{}: {refusal}", folder.display()));
    (wheel, disk)
}

/// Path → bytes and whether it is executable.
type Members = BTreeMap<String, (Vec<u8>, bool)>;

fn ours(wheel: &OwnWheel, disk: &Disk) -> Members {
    let bytes = |content: &Content| match content {
        Content::File(source) => disk.read(source, LIMIT).expect("a listed file is read"),
        Content::Text(text) => text.clone().into_bytes(),
    };
    wheel.files.iter().map(|file| (file.path.clone(), (bytes(&file.content), file.executable))).collect()
}

fn theirs(wheel: &Path) -> Members {
    let mut archive = Archive::new(fs::File::open(wheel).unwrap()).unwrap();
    let members = archive.members().to_vec();
    let read = |member: &corten_layer::zip::Member| {
        let bytes = archive.content(member, LIMIT).unwrap();
        (member.name.clone(), (bytes, member.mode.is_some_and(|mode| mode & 0o100 != 0)))
    };
    members.iter().map(read).collect()
}

fn compare(theirs: &Members, ours: &Members) -> Vec<String> {
    let paths =
        |members: &Members| members.keys().filter(|path| !path.ends_with("/RECORD")).cloned().collect::<BTreeSet<_>>();
    let (their_paths, our_paths) = (paths(theirs), paths(ours));
    let missing = their_paths.difference(&our_paths).map(|path| format!("missing {path}"));
    let more = our_paths.difference(&their_paths).map(|path| format!("too many {path}"));
    let both = our_paths.intersection(&their_paths).filter_map(|path| difference(path, &theirs[path], &ours[path]));
    missing.chain(more).chain(both).collect()
}

fn difference(path: &str, theirs: &(Vec<u8>, bool), ours: &(Vec<u8>, bool)) -> Option<String> {
    let (text, their_text) = (String::from_utf8_lossy(&ours.0), String::from_utf8_lossy(&theirs.0));
    let same = match path.rsplit('/').next().unwrap_or_default() {
        "METADATA" => {
            let licences = their_text.lines().filter(|line| line.starts_with("License-"));
            match metadata::difference(crate::headers(&their_text).chain(licences), &text) {
                Some(difference) => return Some(difference),
                None => true,
            }
        }
        "WHEEL" => crate::tags(&text) == crate::tags(&their_text),
        "entry_points.txt" => metadata::entry_points(&text) == metadata::entry_points(&their_text),
        _ => ours.0 == theirs.0,
    };
    if !same {
        return Some(format!("{path}: theirs {their_text:?}, ours {text:?}"));
    }
    // Installing makes every script executable; texts of dist-info are ours.
    let free = path.contains(".dist-info/") || path.contains(".data/scripts/");
    (!free && ours.1 != theirs.1).then(|| format!("{path}: mode, theirs {}, ours {}", theirs.1, ours.1))
}

#[test]
fn trees_give_what_uv_builds() {
    let Some(program) = xtask::peers::need("uv") else { return };
    let root = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for sample in [HATCHLING, SETUPTOOLS, FLIT, POETRY, PDM, UV] {
        let folder = sample.write(root.path()).unwrap();
        let (wheel, disk) = compute(&folder);
        let ours = ours(&wheel, &disk);
        let out = root.path().join("out");
        run(uv(&program).args(["build", "-q", "--wheel", "--python", "python3", "-o"]).arg(&out).arg(&folder));
        let built = out.join(&wheel.file_name);
        if !built.exists() {
            wrong.push(format!("{}: no {}", sample.name, wheel.file_name));
            continue;
        }
        let differences = compare(&theirs(&built), &ours);
        wrong.extend(differences.into_iter().map(|difference| format!("{}: {difference}", sample.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_workspace_gives_what_uv_syncs() {
    let Some(program) = xtask::peers::need("uv") else { return };
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    for (path, text) in WORKSPACE {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    run(uv(&program).args(["sync", "-q", "--no-editable", "--python", "python3"]).current_dir(root));
    let lib = fs::read_dir(root.join(".venv/lib")).unwrap().next().unwrap().unwrap().path();
    let site = lib.join("site-packages");
    for member in ["", "libs/one", "libs/two"] {
        let (wheel, _) = compute(&root.join(member));
        let record = fs::read_to_string(site.join(&wheel.dist_info).join("RECORD")).unwrap();
        let installed = record.lines().filter_map(|line| line.split(',').next()).filter(|path| !is_uvs(path));
        let mut expected: BTreeSet<String> = wheel.files.iter().map(|file| file.path.clone()).collect();
        expected.insert(format!("{}/RECORD", wheel.dist_info));
        if let Some(text) = wheel.info("entry_points.txt") {
            let groups = metadata::entry_points(text);
            expected.extend(groups["console_scripts"].keys().map(|name| format!("../../../bin/{name}")));
        }
        assert_eq!(installed.map(str::to_owned).collect::<BTreeSet<_>>(), expected, "{member}");
    }
}

/// What uv adds while installing.
fn is_uvs(path: &str) -> bool {
    ["INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"]
        .iter()
        .any(|name| path.ends_with(name))
}

const WORKSPACE: &[(&str, &str)] = &[
    (
        "pyproject.toml",
        "[build-system]\nrequires = [\"uv_build==0.13.9\"]\nbuild-backend = \"uv_build\"\n\
         [project]\nname = \"root-app\"\nversion = \"1\"\nrequires-python = \">=3.9\"\ndependencies = [\"one\", \"two\"]\n\
         [project.scripts]\nroot-app = \"root_app:main\"\n\
         [tool.uv.workspace]\nmembers = [\"libs/one\"]\n\
         [tool.uv.sources]\none = { workspace = true }\ntwo = { path = \"libs/two\" }\n",
    ),
    ("src/root_app/__init__.py", "def main(): pass\n"),
    (
        "libs/one/pyproject.toml",
        "[build-system]\nrequires = [\"hatchling==1.33.0\"]\nbuild-backend = \"hatchling.build\"\n\
         [project]\nname = \"one\"\nversion = \"2\"\nrequires-python = \">=3.9\"\n",
    ),
    ("libs/one/one/__init__.py", ""),
    ("libs/one/one/data.json", "{}"),
    ("libs/two/pyproject.toml", "[project]\nname = \"two\"\nversion = \"3\"\nrequires-python = \">=3.9\"\n"),
    ("libs/two/two/__init__.py", ""),
    ("libs/two/two/data.json", "{}"),
];
