//! The project's own packages against `uv sync --no-editable`, which runs their build backends: a workspace with a member,
//! and a path dependency beside it.
//!
//! Differences that are meant: INSTALLER and WHEEL name this program; RECORD follows from them; direct_url.json names a folder
//! of the image; METADATA says the same in its own order and spacing; REQUESTED and uv's caches are not written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::image::corten;
use crate::place::{command, debian, done, new_folder};

const FILES: [(&str, &str); 14] = [
    (
        "service/pyproject.toml",
        "[project]\nname = \"Demo.App\"\ndynamic = [\"version\"]\nrequires-python = \">=3.11\"\nreadme = \"README.md\"\n\
         dependencies = [\"idna>=3\", \"shared-lib\", \"beside\"]\n[project.optional-dependencies]\nmore = [\"idna; \
         python_version > '3'\"]\n[project.scripts]\ndemo-app = \"demo.cli:main\"\n[build-system]\nrequires = \
         [\"hatchling\"]\nbuild-backend = \"hatchling.build\"\n[tool.hatch.version]\npath = \
         \"src/demo/__init__.py\"\n[tool.hatch.build.targets.wheel]\npackages = [\"src/demo\"]\n[tool.uv.workspace]\n\
         members = [\"libs/*\"]\n[tool.uv.sources]\nshared-lib = { workspace = true }\nbeside = { path = \
         \"../beside\" }\n[tool.corten]\n",
    ),
    ("service/README.md", "# Demo\n"),
    ("service/LICENSE", "as you like\n"),
    ("service/src/demo/__init__.py", "__version__ = \"2.1.0\"\n"),
    ("service/src/demo/cli.py", "def main():\n    print(\"from the package\")\n"),
    ("service/src/demo/data/table.csv", "1,2\n"),
    (
        "service/libs/shared/pyproject.toml",
        "[project]\nname = \"shared-lib\"\nversion = \"0.3\"\n[build-system]\nrequires = \
         [\"setuptools>=61\"]\nbuild-backend = \"setuptools.build_meta\"\n[tool.setuptools.package-data]\nshared = \
         [\"*.json\"]\n",
    ),
    ("service/libs/shared/shared/__init__.py", "VALUE = 7\n"),
    ("service/libs/shared/shared/deep/__init__.py", ""),
    ("service/libs/shared/shared/kept.json", "{}\n"),
    ("service/libs/shared/shared/left.txt", "stays out\n"),
    (
        "beside/pyproject.toml",
        "[project]\nname = \"beside\"\nversion = \"1\"\ndescription = \"Beside it\"\n[build-system]\nrequires = \
         [\"flit_core>=3.2\"]\nbuild-backend = \"flit_core.buildapi\"\n",
    ),
    ("beside/beside/__init__.py", ""),
    ("beside/beside/any.bin", "\u{1}\u{2}"),
];

#[test]
fn the_projects_packages_are_what_uv_installs() {
    let (Some(uv), Some(umoci)) = (xtask::peers::need("uv"), debian("umoci")) else { return };
    let folder = new_folder("own");
    for (path, text) in FILES {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let project = folder.join("service");
    let sync = ["sync", "--quiet", "--no-editable", "--no-dev", "--python", "python3", "--project"];
    done(command(&uv, sync).arg(&project).env("UV_CACHE_DIR", folder.join("cache")));
    let layout = folder.join("layout.tar");
    done(corten(["build"]).arg(&project).arg("--output").arg(format!("type=oci,dest={}", layout.display())));
    let unpacked = new_folder("own-layout");
    done(std::process::Command::new("tar").arg("-C").arg(&unpacked).arg("-xf").arg(&layout));
    let bundle = folder.join("bundle");
    done(command(&umoci, ["unpack", "--image"]).arg(format!("{}:sha-local", unpacked.display())).arg(&bundle));

    let ours = installed(&bundle.join("rootfs/opt/venv"));
    let theirs = installed(&project.join(".venv"));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    assert!(ours.contains_key("demo/data/table.csv") && !ours.contains_key("shared/left.txt"));
    for (path, text) in &ours {
        assert_eq!(comparable(path, text), comparable(path, &theirs[path]), "{path}");
    }
    let app = bundle.join("rootfs/app");
    assert!(
        app.join("README.md").exists() && !app.join("src").exists() && !app.join("libs/shared/shared/deep").exists()
    );
    let root = bundle.join("rootfs");
    let said = done(&mut command(Path::new("/usr/sbin/chroot"), [root.as_os_str(), "/opt/venv/bin/demo-app".as_ref()]));
    assert_eq!(said, "from the package\n");
}

/// Files of the three packages, by their paths below site-packages.
fn installed(venv: &Path) -> BTreeMap<String, String> {
    let library = fs::read_dir(venv.join("lib")).unwrap().map(|entry| entry.unwrap().path()).next().unwrap();
    let packages = library.join("site-packages");
    let mut files = BTreeMap::new();
    let mut folders = vec![packages.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = path.strip_prefix(&packages).unwrap().to_str().unwrap().to_owned();
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if ["demo", "shared", "beside"].iter().any(|own| name.starts_with(own)) && !is_uvs(&name) {
                files.insert(name, String::from_utf8(fs::read(path).unwrap()).unwrap());
            }
        }
    }
    files
}

fn is_uvs(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap();
    ["REQUESTED", "uv_cache.json", "uv_build.json"].contains(&last)
}

/// What must be the same.
fn comparable(path: &str, text: &str) -> BTreeSet<String> {
    let lines = text.lines().map(str::to_owned);
    let kept: Box<dyn Fn(&String) -> bool> = match path.rsplit('/').next().unwrap() {
        "INSTALLER" | "direct_url.json" => Box::new(|_| false),
        "RECORD" => {
            return lines.map(|line| line.split(',').next().unwrap().to_owned()).filter(|name| !is_uvs(name)).collect();
        }
        "WHEEL" => Box::new(|line: &String| !line.is_empty() && !line.starts_with("Generator:")),
        "METADATA" => {
            let free = ["Metadata-Version:", "Import-Name:", "Dynamic:"];
            let kept = lines.filter(|line| !free.iter().any(|field| line.starts_with(field)));
            return kept.map(|line| line.replace('"', "'").replace(['(', ')', ' '], "")).collect();
        }
        _ => return BTreeSet::from([text.to_owned()]),
    };
    lines.filter(|line| kept(line)).collect()
}
