use super::*;

const LOCK: &str = r#"
version = 1
revision = 3
requires-python = ">=3.10"

[[package]]
name = "app"
version = "1.0"
source = { virtual = "." }

[package.optional-dependencies]
gpu = []

[package.metadata]
requires-dist = [
    { name = "fastapi", extras = ["standard", "all"], specifier = ">=0.1,<1" },
    { name = "torch", marker = "sys_platform == 'linux'", specifier = "==2.0", index = "https://index.example/cpu" },
    { name = "torch", marker = "sys_platform != 'linux'", specifier = "==2.0" },
    { name = "tool", marker = "extra == 'gpu'", git = "https://git.example/tool?subdirectory=py&rev=v1" },
    { name = "old", marker = "python_full_version < '3.11'" },
]
provides-extras = ["gpu"]

[package.metadata.requires-dev]
dev = [{ name = "ruff", specifier = ">=1" }, { name = "pytest" }]
"#;

const MANIFEST: &str = r#"
[project]
name = "App"
version = "1.0.0"
requires-python = ">= 3.10"
dependencies = ["FastAPI[all, standard] <1, >=0.1.0", "torch==2.0", "old; python_version < '3.11'"]
optional-dependencies.gpu = ["tool"]

[dependency-groups]
dev = [{ include-group = "test" }, "ruff>=1"]
test = []

[tool.uv]
dev-dependencies = ["pytest"]
sources.torch = [{ index = "cpu", marker = "platform_system == 'Linux'" }]
sources.tool = { git = "https://git.example/tool", rev = "v1", subdirectory = "py" }
index = [{ name = "cpu", url = "https://index.example/cpu/" }]
"#;

fn compare(manifest: &str) -> InStep {
    let lock = LockText::new(LockKind::Uv, "uv.lock", LOCK);
    in_step(&lock, Some(&Manifest::parse("pyproject.toml", manifest).unwrap()), &[]).unwrap()
}

fn changed(from: &str, to: &str) -> Vec<String> {
    assert!(MANIFEST.contains(from), "{from}");
    match compare(&MANIFEST.replace(from, to)) {
        InStep::No(lines) => lines,
        other => panic!("{from} → {to}: {other:?}"),
    }
}

#[test]
fn spelling_and_order_do_not_count() {
    assert_eq!(compare(MANIFEST), InStep::Yes);
    assert_eq!(
        compare(&MANIFEST.replace("old; python_version < '3.11'", "old; python_version <= '3.10'")),
        InStep::Yes
    );
    assert_eq!(compare(&MANIFEST.replace("old;", "old; python_version >= '3.9' and")), InStep::Yes);
    assert_eq!(
        compare(&MANIFEST.replace("\"tool\"", "\"tool @ git+https://git.example/tool@v1#subdirectory=py\"")),
        InStep::Yes
    );
}

#[test]
fn every_change_is_named() {
    for (from, to, lines) in [
        (
            "torch==2.0",
            "torch==2.1",
            vec![
                "'app' no longer needs torch==2",
                "'app' no longer needs torch==2 from https://index.example/cpu",
                "'app' now needs torch==2.1",
                "'app' now needs torch==2.1 from https://index.example/cpu",
            ],
        ),
        ("\"torch==2.0\",", "\"torch==2.0\", \"new\",", vec!["'app' now needs new"]),
        ("old; python_version < '3.11'", "old", vec!["'app' needs old under another condition"]),
        (
            "[all, standard]",
            "[all]",
            vec!["'app' now needs fastapi[all]>=0.1,<1", "'app' no longer needs fastapi[all,standard]>=0.1,<1"],
        ),
        (
            "rev = \"v1\"",
            "rev = \"v2\"",
            vec![
                "'app' no longer needs tool @ git+https://git.example/tool rev=v1 subdirectory=py",
                "'app' now needs tool @ git+https://git.example/tool rev=v2 subdirectory=py",
            ],
        ),
        ("ruff>=1", "ruff>=2", vec!["the group 'dev' no longer needs ruff>=1", "the group 'dev' now needs ruff>=2"]),
        (">= 3.10", ">= 3.11", vec!["requires-python was '>=3.10', is '>=3.11'"]),
        ("version = \"1.0.0\"", "version = \"1.1\"", vec!["the version of 'app' was 1.0, is 1.1"]),
        ("name = \"App\"", "name = \"Other\"", vec!["the project 'other' is not in it"]),
        ("[tool.uv]", "[tool.uv]\noverride-dependencies = [\"x>1\"]", vec!["override x>1 is new"]),
        (
            "test = []",
            "test = [\"extra\"]",
            vec!["the group 'dev' now needs extra", "the group 'test' now needs extra"],
        ),
    ] {
        let mut got = changed(from, to);
        got.sort();
        let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(got, lines, "{from} → {to}");
    }
}

#[test]
fn what_a_build_backend_computes_is_unknown() {
    let dynamic = MANIFEST.replace("[project]", "[project]\ndynamic = [\"dependencies\"]");
    assert!(matches!(compare(&dynamic), InStep::Unknown(_)));
    assert!(matches!(compare(&MANIFEST.replace("name = \"cpu\"", "name = \"gone\"")), InStep::Unknown(_)));
    assert!(matches!(
        compare(&MANIFEST.replace("test = []", "test = [{ include-group = \"dev\" }]")),
        InStep::Unknown(_)
    ));
}

#[test]
fn pins_can_contradict_only() {
    let manifest = |text: &str| {
        let text = format!("[project]\nname = 'a'\ndependencies = [{text}]");
        Manifest::parse("pyproject.toml", text).unwrap()
    };
    let requirements = LockText::new(LockKind::Requirements, "requirements.txt", "b==1.5 --hash=sha256:00\nc==2\n");
    let answer = |text: &str| in_step(&requirements, Some(&manifest(text)), &[]).unwrap();
    assert!(matches!(answer("'c>1', 'd'"), InStep::Unknown(_)));
    assert_eq!(answer("'c>2'"), InStep::No(vec!["'c' is locked as 2, wanted is >2".to_owned()]));
    let pylock = "lock-version = '1.0'\ncreated-by = 'x'\n[[packages]]\nname = 'c'\nversion = '2'\n";
    let pylock = LockText::new(LockKind::Pylock, "pylock.toml", pylock);
    assert_eq!(
        in_step(&pylock, Some(&manifest("'c', 'd'")), &[]).unwrap(),
        InStep::No(vec!["'d' is not in it".to_owned()])
    );
}
