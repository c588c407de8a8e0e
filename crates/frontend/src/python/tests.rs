//! What goes wrong in locks, each with the place and what to do.

use corten_diagnostic::{Diagnose, Failure, Fault};
use corten_oci::Architecture;
use corten_package::marker::Environment;
use corten_package::wheel::Tags;

use super::*;

/// A project that needs `a` and, for its extras and groups, one of two `b`.
pub(super) const UV: &str = r#"version = 1
requires-python = ">=3.10"
supported-markers = ["sys_platform == 'linux' and platform_machine == 'x86_64'"]
conflicts = [[
    { package = "app", extra = "cpu" },
    { package = "app", extra = "gpu" },
    { package = "app", group = "cuda" },
]]

[[package]]
name = "app"
source = { virtual = "." }
dependencies = [
    { name = "a", extra = ["x"] },
    { name = "b", version = "1", source = { registry = "https://i.example/cpu" }, marker = "extra == 'extra-3-app-cpu'" },
    { name = "b", version = "2", source = { registry = "https://i.example/gpu" }, marker = "extra == 'extra-3-app-gpu' or extra == 'group-3-app-cuda'" },
]

[package.optional-dependencies]
cpu = [{ name = "b", version = "1", source = { registry = "https://i.example/cpu" } }]
gpu = [{ name = "b", version = "2", source = { registry = "https://i.example/gpu" } }]
both = [
    { name = "b", version = "1", source = { registry = "https://i.example/cpu" } },
    { name = "b", version = "2", source = { registry = "https://i.example/gpu" } },
]

[package.dev-dependencies]
cuda = [{ name = "b", version = "2", source = { registry = "https://i.example/gpu" } }]
dev = [{ name = "d" }]
docs = []

[[package]]
name = "a"
version = "1.0"
source = { registry = "https://i.example/simple" }
dependencies = [{ name = "c", marker = "python_full_version >= '3.11'" }]
wheels = [{ url = "https://f.example/A-1.0-py3-none-any.whl", hash = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", size = 7 }]

[package.optional-dependencies]
x = [{ name = "d" }]

[[package]]
name = "b"
version = "1"
source = { registry = "https://i.example/cpu" }
wheels = [{ url = "https://f.example/b-1-py3-none-any.whl" }]

[[package]]
name = "b"
version = "2"
source = { registry = "https://i.example/gpu" }
wheels = [{ url = "https://f.example/b-2-cp39-cp39-win_amd64.whl" }]

[[package]]
name = "c"
version = "1"
source = { registry = "https://i.example/simple" }
sdist = { url = "https://f.example/c-1.tar.gz", hash = "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc" }

[[package]]
name = "d"
version = "1"
source = { git = "https://g.example/d.git?subdirectory=py&rev=main#0123456789012345678901234567890123456789" }
"#;

pub(super) const PYLOCK: &str = r#"lock-version = "1.0"
created-by = "someone"
requires-python = ">=3.10"
environments = ["platform_machine == 'x86_64'"]
extras = ["gpu"]
dependency-groups = ["docs", "run", "dev"]
default-groups = ["run", "dev"]

[[packages]]
name = "a"
version = "1"
marker = "'gpu' not in extras"
wheels = [{ name = "a-1-py3-none-any.whl", url = "https://f.example/A-1-py3-none-any.whl", hashes = { sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" } }]

[[packages]]
name = "a"
version = "2"
marker = "'gpu' in extras or 'docs' in dependency_groups"
wheels = [{ path = "wheels/a-2-py3-none-any.whl", hashes = { sha256 = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" } }]

[[packages]]
name = "r"
version = "1"
marker = "'run' in dependency_groups or 'dev' in dependency_groups"
vcs = { type = "git", url = "https://g.example/r", commit-id = "0123", subdirectory = "s" }
"#;

fn environment() -> Environment {
    Environment::new("3.11.2", Architecture::Amd64)
}

fn try_read(kind: LockKind, text: &str, asked: &Asked, environment: &Environment) -> Result<Resolved, Failure> {
    read(&LockText::new(kind, "the.lock", text), None, asked, environment)
}

fn asked(extras: &[&str], groups: &[&str]) -> Asked {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Asked { extras: owned(extras), groups: owned(groups), ..Asked::default() }
}

fn names(resolved: &Resolved) -> Vec<String> {
    let text =
        |wanted: &Wanted| wanted.version.as_ref().map_or(String::new(), |version| format!("{} {version}", wanted.name));
    resolved.wanted.iter().map(text).collect()
}

/// Reading gives an error with `message` at `line`.
#[track_caller]
fn refused(result: Result<Resolved, Failure>, message: &str, line: usize) -> Failure {
    let failure = result.unwrap_err();
    assert!(failure.to_string().contains(message), "{failure}");
    assert_eq!(failure.span().map(|span| span.position().0), Some(line), "{failure}");
    assert_eq!(failure.fault(), Fault::Input);
    failure
}

#[test]
fn uv_takes_what_was_asked_for() {
    let uv = |asked: &Asked| try_read(LockKind::Uv, UV, asked, &environment()).unwrap();
    let plain = uv(&Asked::default());
    assert_eq!(names(&plain), ["a 1.0", "c 1", "d 1"]);
    assert_eq!((plain.groups.len(), plain.groups_left_out.join(" ")), (0, "cuda dev docs".to_owned()));
    assert_eq!(names(&uv(&asked(&["cpu"], &[]))), ["a 1.0", "b 1", "c 1", "d 1"]);
    assert_eq!(names(&uv(&asked(&["GPU"], &["docs"]))), ["a 1.0", "b 2", "c 1", "d 1"]);
    let cuda = uv(&asked(&[], &["cuda"]));
    assert_eq!(
        (names(&cuda), cuda.groups),
        (vec!["a 1.0".into(), "b 2".into(), "c 1".into(), "d 1".into()], vec!["cuda".to_owned()])
    );
    assert!(cuda.warnings[0].contains("no SHA-256 of b"), "{:?}", cuda.warnings);
    assert_eq!(plain.local[0].path, ".");
    let older =
        try_read(LockKind::Uv, UV, &Asked::default(), &Environment::new("3.10.1", Architecture::Amd64)).unwrap();
    assert_eq!(names(&older), ["a 1.0", "d 1"]);
}

#[test]
fn default_groups_are_all_but_dev() {
    let manifest =
        |text: &str| Manifest::parse("pyproject.toml", format!("[tool.uv]\ndefault-groups = {text}")).unwrap();
    let groups = |text: &str, no_default_groups: bool| {
        let asked = Asked { no_default_groups, ..Asked::default() };
        let lock = LockText::new(LockKind::Uv, "uv.lock", UV);
        read(&lock, Some(&manifest(text)), &asked, &environment()).unwrap().groups
    };
    assert_eq!(groups("['dev', 'docs']", false), ["docs"]);
    assert_eq!(groups("'all'", false), ["cuda", "docs"]);
    assert!(groups("['docs']", true).is_empty());
}

#[test]
fn uv_refuses_what_is_wrong() {
    let uv = |text: &str, asked: &Asked| try_read(LockKind::Uv, text, asked, &environment());
    let none = Asked::default();
    refused(uv(&UV.replace("[[package]]\nname = \"d\"", "[[package]\nname = \"d\""), &none), "cannot read", 60);
    refused(uv(&UV.replace("name = \"d\"\nversion = \"1\"", "name = \"d\"\nversion = 1"), &none), "invalid type", 62);
    refused(uv(&UV.replace("version = 1\n", "version = 2\n"), &none), "version 2 of uv.lock is not known", 1);
    refused(uv("", &none), "'version = 1' is missing", 1);
    refused(uv(&UV.replace(">=3.10", ">=3.12"), &none), "it is for Python >=3.12, the base has Python 3.11.2", 2);
    refused(uv(&UV.replace("'x86_64'\"", "'riscv64'\""), &none), "not made for Linux on x86_64", 3);
    refused(uv(UV, &asked(&["cpu", "gpu"], &[])), "the extra 'cpu' and the extra 'gpu' exclude each other", 4);
    refused(uv(UV, &asked(&["cpu"], &["cuda"])), "the extra 'cpu' and the group 'cuda' exclude each other", 4);
    refused(uv(UV, &asked(&["both"], &[])), "two entries of 'b' apply at once: 1 and 2", 49);
    refused(
        uv(&UV.replace("{ name = \"c\",", "{ name = \"e\","), &none),
        "'a' depends on 'e', but of that it holds none",
        33,
    );
    refused(uv(&UV.replace("python_full_version >=", "python >="), &none), "is not an environment marker", 33);
    refused(
        uv("version = 1\n[[package]]\nname='a'\nsource={registry='x'}", &none),
        "no package of it is the project",
        1,
    );
}

#[test]
fn unknown_names_bring_a_suggestion() {
    for (asked, message, hint) in [
        (asked(&["gpuu"], &[]), "no extra 'gpuu'", "did you mean 'gpu'?"),
        (asked(&[], &["cudaa"]), "no dependency group 'cudaa'", "did you mean 'cuda'?"),
        (Asked { package: Some("ap".into()), ..Asked::default() }, "no member 'ap'", "did you mean 'app'?"),
    ] {
        let failure = try_read(LockKind::Uv, UV, &asked, &environment()).unwrap_err();
        assert!(failure.to_string().contains(message), "{failure}");
        assert_eq!((failure.fault(), failure.hints()), (Fault::Usage, vec![hint.to_owned()]));
    }
}

#[test]
fn pylock_goes_by_markers() {
    let pylock = |asked: &Asked| try_read(LockKind::Pylock, PYLOCK, asked, &environment());
    let plain = pylock(&Asked::default()).unwrap();
    assert_eq!((names(&plain), plain.groups), (vec!["a 1".into(), "r 1".into()], vec!["run".to_owned()]));
    let Files::Known(files) = &plain.wanted[0].files else { panic!() };
    assert_eq!(files[0].file, "A-1-py3-none-any.whl", "the URL's spelling is the true one");
    let LockedFrom::Git(source) = &plain.wanted[1].from else { panic!("{:?}", plain.wanted[1]) };
    assert_eq!(source.to_string(), "https://g.example/r@0123#subdirectory=s");
    assert!(!source.is_pinned(), "half a commit");
    assert_eq!(names(&pylock(&asked(&["gpu"], &[])).unwrap()), ["a 2", "r 1"]);
    let bare = Asked { no_default_groups: true, ..Asked::default() };
    assert_eq!(names(&pylock(&bare).unwrap()), ["a 1"]);
}

#[test]
fn pylock_refuses_what_is_wrong() {
    let pylock = |text: &str, asked: &Asked| try_read(LockKind::Pylock, text, asked, &environment());
    let none = Asked::default();
    refused(pylock(PYLOCK, &asked(&[], &["docs"])), "two entries of 'a' apply at once: 1 and 2", 16);
    refused(pylock(&PYLOCK.replace("\"1.0\"", "\"2.0\""), &none), "lock-version 2.0 is not known", 1);
    refused(pylock("x = 1\n", &none), "'lock-version = \"1.0\"' is missing", 1);
    refused(pylock(&PYLOCK.replace(">=3.10", "==3.9.*"), &none), "Python version conflict", 3);
    refused(pylock(&PYLOCK.replace("== 'x86_64'", "== 'arm'"), &none), "not made for Linux on x86_64", 4);
    refused(pylock(&PYLOCK.replace("vcs =", "tool ="), &none), "'r' has neither wheels nor another source", 22);
    refused(pylock(&PYLOCK.replace("name = \"r\"", "name = \"-\""), &none), "not a package name", 22);
}

#[test]
fn what_has_no_wheel_is_named_with_what_to_do() {
    let resolved = try_read(LockKind::Uv, UV, &asked(&["gpu"], &[]), &environment()).unwrap();
    let tags = Tags::new((3, 11), (2, 36), Architecture::Amd64);
    let answers: Vec<_> = resolved
        .wanted
        .iter()
        .map(|wanted| {
            let Files::Known(files) = &wanted.files else { panic!() };
            choose(wanted, files, &tags)
        })
        .collect();
    assert_eq!(answers[0].as_ref().unwrap().size, Some(7));
    for (answer, text, hint) in [
        (
            &answers[1],
            "b 2 cannot be installed: it has no wheel for Python 3.11 on linux/amd64 with glibc 2.36",
            "b-2-cp39-cp39-win_amd64.whl",
        ),
        (
            &answers[2],
            "c 1 cannot be installed: it has no wheel, only a source distribution",
            "a version of c that has a wheel",
        ),
        (
            &answers[3],
            "d 1 cannot be installed: it is locked from a git repository, not as a wheel",
            "publish a wheel of d",
        ),
    ] {
        let refused = answer.as_ref().unwrap_err();
        assert_eq!(refused.to_string(), text);
        assert!(refused.hints()[0].contains(hint), "{}", refused.hint);
        assert!(refused.span().is_some());
    }
}

#[test]
fn a_file_of_another_package_or_version_is_never_taken() {
    let resolved =
        try_read(LockKind::Uv, &UV.replace("A-1.0-", "evil-1.0-"), &Asked::default(), &environment()).unwrap();
    let tags = Tags::new((3, 11), (2, 36), Architecture::Amd64);
    let Files::Known(files) = &resolved.wanted[0].files else { panic!() };
    assert_eq!(choose(&resolved.wanted[0], files, &tags).unwrap_err().reason, Reason::NoWheel);
    let text = UV.replace("A-1.0-", "..%2F..%2FA-1.0-");
    let resolved = try_read(LockKind::Uv, &text, &Asked::default(), &environment()).unwrap();
    assert!(matches!(&resolved.wanted[0].files, Files::Known(files) if files.is_empty()), "a name that climbs is none");
}

#[test]
fn without_hashes_the_version_decides_and_then_the_tag() {
    let resolved = try_read(LockKind::Requirements, "torch==2.0\n", &Asked::default(), &environment()).unwrap();
    assert!(resolved.warnings[0].contains("no hashes"), "{:?}", resolved.warnings);
    let wanted = &resolved.wanted[0];
    assert!(matches!(wanted.files, Files::AskIndex { hashes: None, .. }));
    let file = |name: &str| LockFile {
        file: name.to_owned(),
        url: format!("https://f.example/{name}"),
        digest: None,
        size: None,
        yanked: None,
    };
    let tags = Tags::new((3, 11), (2, 36), Architecture::Amd64);
    let chosen = |names: &[&str]| choose(wanted, &names.iter().map(|name| file(name)).collect::<Vec<_>>(), &tags);
    let (old, new) = ("torch-1.9-cp311-cp311-linux_x86_64.whl", "torch-2.1-cp311-cp311-linux_x86_64.whl");
    let (pure, own) = ("torch-2.0-py3-none-any.whl", "torch-2.0-cp311-cp311-linux_x86_64.whl");
    assert_eq!(chosen(&[old, pure, own, new]).unwrap().file, own);
    assert_eq!(chosen(&[own, "torch-2.0+cpu-py3-none-any.whl"]).unwrap().file, "torch-2.0+cpu-py3-none-any.whl");
    let reason = |names: &[&str]| chosen(names).unwrap_err().reason;
    assert_eq!(reason(&[old, new, "torch-2.1.tar.gz"]), Reason::NotOnIndex);
    assert_eq!(reason(&[old, new, "torch-2.0.tar.gz"]), Reason::SdistOnly);
}

#[test]
fn a_repository_without_a_commit_is_told_from_one_with() {
    let moving = UV.replace("#0123456789012345678901234567890123456789", "");
    let resolved = try_read(LockKind::Uv, &moving, &Asked::default(), &environment()).unwrap();
    let tags = Tags::new((3, 11), (2, 36), Architecture::Amd64);
    let refused = choose(&resolved.wanted[2], &[], &tags).unwrap_err();
    assert_eq!(refused.reason, Reason::GitMoves);
    assert!(refused.hints()[0].contains("name the commit"));
}

/// Any cut of a lock gives an answer or an error with a place in the text, and never falls over.
#[test]
fn no_cut_of_a_lock_makes_it_fall_over() {
    for (kind, text) in
        [(LockKind::Uv, UV), (LockKind::Pylock, PYLOCK), (LockKind::Requirements, "a==1 \\\n --hash=sha256:0\n-r x")]
    {
        for end in (0..text.len()).step_by(7) {
            for text in [text[..end].to_owned(), format!("{}\u{0}{}", &text[..end], &text[end..])] {
                if let Err(failure) = try_read(kind, &text, &asked(&["gpu"], &[]), &environment()) {
                    assert!(!failure.to_string().is_empty());
                }
            }
        }
    }
}
