use super::*;

fn at(path: &str) -> LayerPath {
    LayerPath::new(path).unwrap()
}

fn interpreter(answer: &'static [u8]) -> OwnInterpreter<impl Fn(&Invocation) -> io::Result<Vec<u8>>> {
    let run = move |invocation: &Invocation| {
        assert_eq!(invocation.input, b"/usr/lib/python3.11/a.py\0/usr/lib/python3.11/b.py\0");
        Ok(answer.to_vec())
    };
    OwnInterpreter { architecture: Architecture::Amd64, python: (3, 11), run }
}

fn compile(answer: &'static [u8]) -> io::Result<Vec<(LayerPath, Vec<u8>)>> {
    let folder = tempfile::tempdir().unwrap();
    interpreter(answer).compile(folder.path(), &[at("usr/lib/python3.11/a.py"), at("usr/lib/python3.11/b.py")])
}

#[test]
fn answers_are_framed() {
    let made = compile(b"\x02\0\0\0\0\0\0\0AB\xff\xff\xff\xff\xff\xff\xff\xff").unwrap();
    assert_eq!(made, [(at("usr/lib/python3.11/__pycache__/a.cpython-311.pyc"), b"AB".to_vec())]);
}

#[test]
fn wrong_answers_are_refused() {
    for answer in [
        &b""[..],
        b"\x02\0\0\0\0\0\0\0A",
        b"\x01\0\0\0\0\0\0\0A",
        b"\xfe\xff\xff\xff\xff\xff\xff\xffA",
        b"\x01\0\0\0\0\0\0\0A\x01\0\0\0\0\0\0\0B!",
    ] {
        assert_eq!(compile(answer).unwrap_err().kind(), io::ErrorKind::InvalidData, "{answer:?}");
    }
}

#[test]
fn bytecode_and_source_paths_are_each_other_s() {
    let source = at("usr/lib/python3.11/json/__init__.py");
    let bytecode = cache_path(&source, (3, 11)).unwrap();
    assert_eq!(bytecode, at("usr/lib/python3.11/json/__pycache__/__init__.cpython-311.pyc"));
    assert_eq!(source_path(&bytecode), Some(source));
    assert_eq!(source_path(&at("a")), None);
}
