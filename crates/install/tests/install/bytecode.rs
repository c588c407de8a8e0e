//! Bytecode of wheels by an interpreter that was unpacked from layers: this machine's Debian Python, put into a layer first.
//! Judged by the interpreter itself, as it stands on this machine.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use corten_diagnostic::Diagnose;
use corten_install::debian::bytecode::Invocation;
use corten_install::python::bytecode::{
    BytecodeError, BytecodeReport, Interpreter, Module, Unpacked, compile_modules, compile_wheels, unpack,
};
use corten_install::python::{Conflict, MTIME, WheelSource};
use corten_layer::tree::Tree;
use corten_layer::write::{Compression, LayerWriter, Written};
use corten_oci::{DiffId, Entry, Kind, LayerPath};
use corten_testkit::wheel::WheelBuilder;

use crate::wheel::{source, target};

const PYTHON: &str = "/usr/bin/python3.11";
const SITE: &str = "opt/venv/lib/python3.11/site-packages";

/// Two layers: the interpreter and its libraries; the standard library, and a link over it all.
struct Image {
    tree: Tree,
    tars: BTreeMap<DiffId, Vec<u8>>,
}

impl Image {
    /// None (with the reason printed) where this machine has no such Python.
    fn new() -> Option<Self> {
        if !cfg!(target_arch = "x86_64") || !Path::new(PYTHON).is_file() {
            assert!(std::env::var_os("CI").is_none(), "{PYTHON} is needed in CI");
            println!("not judged: {PYTHON} is not here");
            return None;
        }
        let mut files = vec![PathBuf::from("/usr/bin/python3.11")];
        for library in ["ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6", "libz.so.1", "libexpat.so.1"] {
            files.push(Path::new("/usr/lib/x86_64-linux-gnu").join(library));
        }
        let (first, index) = layer(
            &files,
            &[("lib64", "usr/lib/x86_64-linux-gnu"), ("lib", "usr/lib"), ("usr/bin/python3", "python3.11")],
        );
        let mut library = Vec::new();
        walk(Path::new("/usr/lib/python3.11"), &mut library);
        let (second, library) = layer(&library, &[]);
        let layers = [(index.diff_id, &index.index), (library.diff_id, &library.index)];
        let tree = Tree::new(layers).unwrap();
        Some(Self { tree, tars: [(index.diff_id, first), (library.diff_id, second)].into() })
    }

    fn unpack(&self, folder: &Path, program: &str) -> io::Result<Unpacked> {
        let open = |layer: &DiffId| Ok(Box::new(io::Cursor::new(self.tars[layer].clone())) as Box<dyn io::Read>);
        unpack(&self.tree, &LayerPath::new(program).unwrap(), &open, folder)
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let skipped = ["test", "__pycache__", "idlelib", "config-3.11-x86_64-linux-gnu"];
        if path.is_dir() && !path.is_symlink() && !skipped.iter().any(|name| path.ends_with(name)) {
            walk(&path, files);
        } else if path.is_file() && !path.is_symlink() {
            files.push(path);
        }
    }
}

fn layer(files: &[PathBuf], links: &[(&str, &str)]) -> (Vec<u8>, Written) {
    let mut writer = LayerWriter::new(Vec::new(), Compression::Stored, MTIME);
    for (path, target) in links {
        writer.bare(entry(path, Kind::Symlink((*target).to_owned()), 0)).unwrap();
    }
    for path in files {
        let content = fs::read(path).unwrap();
        let name = path.to_str().unwrap();
        writer.file(entry(name, Kind::File, content.len()), &mut content.as_slice()).unwrap();
    }
    writer.finish().unwrap()
}

fn entry(path: &str, kind: Kind, size: usize) -> Entry {
    let path = LayerPath::new(path).unwrap();
    Entry { path, kind, mode: 0o755, uid: 0, gid: 0, size: size as u64, crc32: None, offset: 0, package: None }
}

/// Unpacked once for all tests.
fn unpacked() -> Option<&'static Unpacked> {
    static UNPACKED: OnceLock<Option<(tempfile::TempDir, Unpacked)>> = OnceLock::new();
    let made = UNPACKED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let unpacked = Image::new()?.unpack(folder.path(), "usr/bin/python3").unwrap();
        Some((folder, unpacked))
    });
    made.as_ref().map(|(_, unpacked)| unpacked)
}

fn run(invocation: &Invocation) -> io::Result<Vec<u8>> {
    let mut command = Command::new(&invocation.program);
    command.args(&invocation.arguments).env_clear().envs(invocation.environment.iter().cloned());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(&invocation.input));
        child.wait_with_output()
    })?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    output.status.success().then_some(output.stdout).ok_or_else(|| io::Error::other(said))
}

/// In full, as this machine's says it.
fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let script = "import sys; print(sys.version.split()[0], end='')";
        let output = Command::new(PYTHON).args(["-I", "-c", script]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    })
}

type Compiled = (Vec<u8>, Written, BytecodeReport);

fn compile(wheels: &[WheelSource], conflicts: &[Conflict]) -> Result<Option<Compiled>, BytecodeError> {
    let Some(unpacked) = unpacked() else { return Ok(None) };
    let interpreter = Interpreter { unpacked, version: version(), run: &run };
    let writer = LayerWriter::new(Vec::new(), Compression::Stored, MTIME);
    compile_wheels(wheels, conflicts, &target(), &interpreter, writer).map(Some)
}

/// Path (below the image's root) and content of every file of a plain layer.
fn files_of(layer: &(Vec<u8>, Written, BytecodeReport)) -> BTreeMap<String, Vec<u8>> {
    let content = |entry: &Entry| layer.0[entry.offset as usize..][..entry.size as usize].to_vec();
    let files = layer.1.index.entries.iter().filter(|entry| entry.kind == Kind::File);
    files.map(|entry| (entry.path.to_string(), content(entry))).collect()
}

fn module(text: &str) -> Vec<u8> {
    format!("\"\"\"doc\"\"\"\nWORDS = frozenset({{'a', 'b', 'c', 'd', '{text}'}})\n\ndef f(x, y='{text}'):\n    return x in {{1, 2, 'q'}} and y\n").into_bytes()
}

fn wheel(name: &str) -> WheelSource {
    let builder = WheelBuilder::new(name, "1.0")
        .file(&format!("{name}/__init__.py"), module("init"))
        .file(&format!("{name}/b.py"), module("b"))
        .file(&format!("{name}/sub/a.py"), b"# -*- coding: latin-1 -*-\nx = '\xe9'\n".to_vec())
        .file(&format!("{name}/py2.py"), b"print 'old'\n".to_vec())
        .file(&format!("{name}/nul.py"), b"a = 1\0\n".to_vec())
        .file(&format!("{name}/deep.py"), [b"(".repeat(100_000), b")".repeat(100_000)].concat())
        .file(&format!("{name}/empty.py"), b"".to_vec())
        .file(&format!("{name}/data.txt"), b"no source".to_vec())
        .file(&format!("{name}-1.0.data/scripts/tool.py"), b"#!python\nprint(1)\n".to_vec());
    source(name, "1.0", &builder.build())
}

#[test]
fn bytecode_is_what_the_interpreter_itself_would_write() {
    let Some(layer) = compile(&[wheel("pkg")], &[]).unwrap() else { return };
    let made = files_of(&layer);
    let expected = ["__init__", "b", "empty", "sub/a"].map(|stem| {
        let (folder, name) = stem.rsplit_once('/').map_or(("pkg".to_owned(), stem), |(f, n)| (format!("pkg/{f}"), n));
        format!("{SITE}/{folder}/__pycache__/{name}.cpython-311.pyc")
    });
    assert_eq!(made.keys().collect::<Vec<_>>(), {
        let mut expected: Vec<&String> = expected.iter().collect();
        expected.sort();
        expected
    });
    let report = &layer.2;
    assert_eq!((report.files, report.bytes), (4, made.values().map(|content| content.len() as u64).sum()));
    assert_eq!(report.left_out, ["deep", "nul", "py2"].map(|name| format!("{SITE}/pkg/{name}.py")));
    for entry in &layer.1.index.entries {
        assert_eq!(entry.mode, if entry.kind == Kind::File { 0o644 } else { 0o755 }, "{}", entry.path);
        let package = (entry.kind == Kind::File).then(|| "pkg:pypi/pkg@1.0".to_owned());
        assert_eq!(entry.package, package);
    }
    // The judge: py_compile of the same interpreter, on this machine, in the same order.
    let folder = tempfile::tempdir().unwrap();
    let sources = [("__init__", module("init")), ("b", module("b")), ("empty", Vec::new())];
    for (name, source) in &sources {
        fs::write(folder.path().join(format!("{name}.py")), source).unwrap();
    }
    let script = "
import py_compile, sys
for name in ['__init__', 'b', 'empty']:
    py_compile.compile(f'{sys.argv[1]}/{name}.py', f'{sys.argv[1]}/{name}.pyc', f'/{sys.argv[2]}/pkg/{name}.py', doraise=True,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
";
    let ran = Command::new(PYTHON).args(["-I", "-S", "-c", script]).arg(folder.path()).arg(SITE).status().unwrap();
    assert!(ran.success());
    for (name, _) in &sources {
        let truth = fs::read(folder.path().join(format!("{name}.pyc"))).unwrap();
        let ours = &made[&format!("{SITE}/pkg/__pycache__/{name}.cpython-311.pyc")];
        assert!(*ours == truth, "{name}");
        assert_eq!(ours[4], 1, "unchecked hash (PEP 552)");
    }
    // It is imported without its source ever being read: the sources here say something else.
    let site = folder.path().join("site");
    for (path, content) in &made {
        let place = site.join(path.strip_prefix(SITE).unwrap().trim_start_matches('/'));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, content).unwrap();
    }
    for name in ["__init__.py", "b.py"] {
        fs::write(site.join("pkg").join(name), "raise SystemExit('the source was read')").unwrap();
    }
    let script = "import sys; sys.path.insert(0, sys.argv[1]); import pkg.b; print(pkg.b.f(1))";
    let ran = Command::new(PYTHON).args(["-I", "-c", script]).arg(&site).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "b\n", "{ran:?}");
}

#[test]
fn a_wheels_bytecode_does_not_depend_on_its_neighbours() {
    let Some(alone) = compile(&[wheel("one")], &[]).unwrap() else { return };
    let together = compile(&[wheel("zero"), wheel("one"), wheel("two")], &[]).unwrap().unwrap();
    let (alone, together) = (files_of(&alone), files_of(&together));
    assert_eq!(together.len(), 3 * alone.len());
    assert!(alone.iter().all(|(path, content)| together[path] == *content));
}

#[test]
fn a_hidden_source_has_no_bytecode() {
    let shared = |name: &str, text: &str| {
        let builder =
            WheelBuilder::new(name, "1.0").file("shared.py", module(text)).file(&format!("{name}.py"), module(name));
        source(name, "1.0", &builder.build())
    };
    let names = |layer: &Compiled| {
        files_of(layer).into_keys().map(|path| path.rsplit('/').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // In one layer the later wheel's source is seen, so its bytecode is.
    let Some(both) = compile(&[shared("first", "1"), shared("second", "2")], &[]).unwrap() else { return };
    let second = compile(&[shared("second", "2")], &[]).unwrap().unwrap();
    let path = format!("{SITE}/__pycache__/shared.cpython-311.pyc");
    assert_eq!(files_of(&both)[&path], files_of(&second)[&path]);
    assert_eq!(names(&both).len(), 3);
    // Between layers the conflicts of the image say whose is hidden.
    let winner = "pkg:pypi/other@2".to_owned();
    let conflict = Conflict { path: format!("{SITE}/shared.py"), winner, loser: "pkg:pypi/second@1.0".to_owned() };
    let hidden = compile(&[shared("second", "2")], &[conflict]).unwrap().unwrap();
    assert_eq!(names(&hidden), ["second.cpython-311.pyc"]);
}

#[test]
fn files_of_a_project_are_compiled_too_and_nothing_makes_nothing() {
    let Some(unpacked) = unpacked() else { return };
    let interpreter = Interpreter { unpacked, version: version(), run: &run };
    let write = || LayerWriter::new(Vec::new(), Compression::Splice, MTIME);
    let module = |path: &str, source: &[u8]| Module { path: LayerPath::new(path).unwrap(), source: source.to_vec() };
    let modules =
        vec![module("app/z.py", b"x = 1"), module("app/a.py", b"def"), module("app/big.py", &vec![b'#'; 9 << 20])];
    let (_, written, report) = compile_modules(modules, &interpreter, write()).unwrap();
    let paths: Vec<String> = written.index.entries.iter().map(|entry| entry.path.to_string()).collect();
    assert_eq!(paths, ["app", "app/__pycache__", "app/__pycache__/z.cpython-311.pyc"]);
    assert_eq!((report.files, report.left_out), (1, vec!["app/a.py".to_owned(), "app/big.py".to_owned()]));
    let never = |_: &Invocation| -> io::Result<Vec<u8>> { panic!("there is nothing to compile") };
    let interpreter = Interpreter { run: &never, ..interpreter };
    assert_eq!(compile_modules(Vec::new(), &interpreter, write()).unwrap().2, BytecodeReport::default());
}

#[test]
fn another_version_or_a_dead_interpreter_is_an_error() {
    let Some(unpacked) = unpacked() else { return };
    let write = || LayerWriter::new(Vec::new(), Compression::Stored, MTIME);
    let other = Interpreter { unpacked, version: "3.11.99", run: &run };
    let error = compile_wheels(&[wheel("pkg")], &[], &target(), &other, write()).unwrap_err();
    assert!(error.to_string().starts_with("compiling pkg 1.0: the interpreter is Python 3.11."), "{error}");
    assert!(error.hints()[0].contains("bytecode"));
    let dead = |_: &Invocation| Err(io::Error::other("ended with signal 9"));
    let lying = |_: &Invocation| Ok(b"\x01\0\0\0\0\0\0\0".to_vec());
    for run in [&dead as &(dyn Fn(&Invocation) -> io::Result<Vec<u8>> + Sync), &lying] {
        let interpreter = Interpreter { unpacked, version: version(), run };
        assert!(compile_wheels(&[wheel("pkg")], &[], &target(), &interpreter, write()).is_err());
    }
}

#[test]
fn an_image_without_what_the_interpreter_needs_is_an_error() {
    let Some(mut image) = Image::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let error = image.unpack(folder.path(), "usr/bin/python3.12").unwrap_err();
    assert_eq!(error.to_string(), "/usr/bin/python3.12 is not in the base");
    let (_, mut written) = layer(&[], &[]);
    written.index.entries.push(entry("usr/lib/x86_64-linux-gnu/libz.so.1", Kind::Whiteout, 0));
    let layers: Vec<_> = image.tars.keys().copied().collect();
    let index = |tar: &[u8]| corten_layer::tar::index(tar).unwrap().index;
    let mut indexes: Vec<_> = layers.iter().map(|layer| (*layer, index(&image.tars[layer]))).collect();
    indexes.push((written.diff_id, written.index));
    image.tree = Tree::new(indexes.iter().map(|(layer, index)| (*layer, index))).unwrap();
    let error = image.unpack(folder.path(), "usr/bin/python3.11").unwrap_err();
    assert_eq!(error.to_string(), "library libz.so.1 is not in the base");
}
