//! Packages of the fake archive whose programs run: this machine's interpreter, with its libraries and as much of its
//! standard library as builds import, so that they can be built in the sandbox of a base of the test's own.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::archive::Extra;

const PYTHON: &str = "/usr/bin/python3.11";

/// In place of what is Essential in Debian, too.
const NEEDS: &str =
    "Depends: base-files, base-passwd, dash, libc-bin, libc6, libpython3.11-stdlib, python3.11-minimal\n";

/// Names the files of every module that a build here can want; those of C apart, which all have another in Python.
const MODULES: &str = "
import base64, csv, encodings.cp437, encodings.idna, encodings.latin_1, hashlib, importlib.metadata, json, mmap, platform, py_compile, re
import runpy, shutil, socket, stringprep, subprocess, sys, tempfile, threading, time, traceback, zipfile
files = {getattr(module, '__file__', None) for module in sys.modules.values()}
print('\\n'.join(sorted(file for file in files if file and file.endswith('.py'))))
";

/// What makes a slim base that runs, in place of the packages of those names; none on a machine without Python 3.11.
pub fn packages() -> Option<Vec<Extra>> {
    static PACKAGES: OnceLock<Option<Vec<Extra>>> = OnceLock::new();
    let packages = PACKAGES.get_or_init(|| Path::new(PYTHON).exists().then(read));
    if packages.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{PYTHON} is not there");
        println!("{PYTHON} is not there: nothing is built");
    }
    packages.clone()
}

fn read() -> Vec<Extra> {
    let standard = ask(PYTHON, &["-I", "-S", "-c", MODULES]);
    let standard = standard.lines().map(|path| file(path, path));
    // The interpreter looks for the folder.
    let standard = standard.chain([("usr/lib/python3.11/lib-dynload/README", b"none".to_vec())]).collect();
    let version = ask(PYTHON, &["-c", "import platform; print(platform.python_version(), end='')"]);
    let version: &str = format!("{version}-6").leak();
    let own = Extra::default();
    let plain = ["apt", "usr-is-merged"].map(|name| Extra { name, ..own.clone() });
    let shell = file("/usr/bin/sh", "/bin/sh");
    let packages = [
        Extra { name: "libc6", version: "2.36-9", files: libraries(), ..own.clone() },
        Extra { name: "python3.11-minimal", version, files: vec![file(PYTHON, PYTHON)], ..own.clone() },
        Extra { name: "libpython3.11-stdlib", version, files: standard, ..own.clone() },
        Extra { name: "python3", version, fields: NEEDS, ..own.clone() },
        Extra { name: "dash", files: vec![shell], ..own },
    ];
    packages.into_iter().chain(plain).collect()
}

/// The loader, and what it loads for the interpreter and the shell.
fn libraries() -> Vec<(&'static str, Vec<u8>)> {
    let told = ask("ldd", &[PYTHON, "/bin/sh"]);
    let mut paths: Vec<&str> =
        told.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':')).collect();
    paths.sort_unstable();
    paths.dedup();
    // Where the others find it.
    let loader = file("lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2");
    paths.into_iter().map(|path| file(path, path)).chain([loader]).collect()
}

/// A file of this machine: as it is in the package, and where it is here.
fn file(path: &str, here: &str) -> (&'static str, Vec<u8>) {
    let path: &str = path.trim_start_matches('/').to_owned().leak();
    (path, std::fs::read(here).unwrap())
}

fn ask(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
