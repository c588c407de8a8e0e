use super::*;
use crate::python::LockKind;
use corten_diagnostic::Diagnose;
use corten_oci::Architecture;

const HASH: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const OTHER: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn lock(text: &str) -> LockText {
    LockText::new(LockKind::Requirements, "requirements.txt", text.replace("HASH", HASH).replace("OTHER", OTHER))
}

fn read_lock(lock: &LockText) -> Result<Resolved, Failure> {
    read(lock, None, &Asked::default(), &Environment::new("3.11.2", Architecture::Amd64))
}

fn read_text(text: &str) -> Result<Resolved, Failure> {
    read_lock(&lock(text))
}

fn line_of(failure: &Failure) -> usize {
    failure.span().unwrap().position().0
}

#[test]
fn the_whole_grammar() {
    let text = "\u{23} made by pip-compile with Python 3.10\r\n\
        --index-url https://index.example/simple/  # ours\r\n\
        --extra-index-url=https://more.example/simple\r\n\
        -f https://links.example\r\n\
        A_b[x,Y] == 1.0 ; python_version >= '3.8' \\\r\n    --hash=HASH \\\r\n    --hash OTHER\r\n    # via c\r\n\
        gone==1.0 ; sys_platform == 'win32' --hash=HASH\r\n\
        https://x.example/c-2.0-py3-none-any.whl; os_name == 'posix' --hash=HASH\r\n\
        https://x.example/d-2.0%2Bcpu-py3-none-any.whl#sha256=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\
        e @ git+https://x.example/e.git@0123456789012345678901234567890123456789#subdirectory=py\r\n\
        ./wheels/f-3-py3-none-any.whl --hash=HASH\r\n\
        -e ./lib[all]\r\n-e .";
    let resolved = read_text(text).unwrap();
    assert_eq!(resolved.python_hint.as_deref(), Some("3.10"));
    let names: Vec<_> = resolved.wanted.iter().map(|wanted| wanted.name.as_str()).collect();
    assert_eq!(names, ["a-b", "c", "d", "e", "f"]);
    let Files::AskIndex { index, extra, hashes } = &resolved.wanted[0].files else { panic!() };
    assert_eq!(index.as_deref(), Some("https://index.example/simple/"));
    assert_eq!(extra, &["https://more.example/simple"]);
    assert_eq!(hashes.iter().flatten().map(Digest::to_string).collect::<Vec<_>>(), [HASH, OTHER]);
    assert_eq!(resolved.wanted[0].at.position(), (5, 1));
    assert_eq!(resolved.wanted[2].version.as_ref().unwrap().to_string(), "2.0+cpu");
    let LockedFrom::Git(source) = &resolved.wanted[3].from else { panic!("{:?}", resolved.wanted[3]) };
    assert_eq!((source.url.as_str(), source.subdirectory.as_deref()), ("https://x.example/e.git", Some("py")));
    assert!(source.is_pinned(), "{source}");
    assert_eq!(resolved.wanted[4].from, LockedFrom::File("wheels/f-3-py3-none-any.whl".into()));
    let local: Vec<_> = resolved.local.iter().map(|local| local.path.as_str()).collect();
    assert_eq!(local, ["lib", "."]);
    assert!(
        resolved.warnings[0].contains("find-links") || resolved.warnings[0].contains("-f"),
        "{:?}",
        resolved.warnings
    );
}

#[test]
fn a_comment_begins_after_a_blank_only() {
    let read = |text: &str| logical_lines(text).into_iter().map(|line| line.text).collect::<Vec<_>>();
    assert_eq!(read("a#b #c\n  # d\\\ne\n"), ["a#b", "e"]);
    assert_eq!(read("a \\\n  b \\\n\nc\\"), ["a   b", "c"]);
    assert_eq!(read("a \\\n# b\nc"), ["a", "c"]);
    assert_eq!(read("\u{feff}# a\nb"), ["b"], "a byte order mark");
}

#[test]
fn loose_lines_are_named() {
    let failure = read_text("a==1 --hash=HASH\nb>=2\nc==1.*\n").unwrap_err();
    assert!(failure.to_string().contains("requirements not pinned to a version ('=='): b, c"), "{failure}");
    assert_eq!(line_of(&failure), 2);
    let failure = read_text("a==1 --hash=HASH\n\nb==2\n").unwrap_err();
    assert!(failure.to_string().contains("requirements without a hash: b"), "{failure}");
    assert_eq!((line_of(&failure), failure.hints().len()), (3, 1));
}

#[test]
fn one_name_on_two_lines() {
    let resolved = read_text("black==1 --hash=HASH\nBlack[jupyter]==1.0 --hash=OTHER\n").unwrap();
    let Files::AskIndex { hashes, .. } = &resolved.wanted[0].files else { panic!() };
    assert_eq!((resolved.wanted.len(), hashes.as_ref().map(Vec::len)), (1, Some(2)));
    let failure = read_text("black==1 --hash=HASH\nblack==2 --hash=HASH\n").unwrap_err();
    assert!(failure.to_string().contains("two lines for 'black' apply at once: 1 and 2"), "{failure}");
    assert_eq!(line_of(&failure), 2);
    assert!(read_text("a==1;os_name=='nt' --hash=HASH\na==2;os_name!='nt' --hash=HASH\n").is_ok());
}

#[test]
fn included_files_are_read_beside_the_file_that_names_them() {
    let mut lock = lock("-r sub/base.txt\n-c limits.txt\na==1 --hash=HASH\n");
    assert_eq!(includes(&lock), ["sub/base.txt", "limits.txt"]);
    assert!(read_lock(&lock).unwrap_err().to_string().contains("'sub/base.txt' cannot be read"));
    lock.included.push(("sub/base.txt".into(), format!("--requirement more.txt\nb==1 --hash={HASH}\n").into()));
    assert_eq!(includes(&lock), ["limits.txt", "sub/more.txt"]);
    lock.included.push(("sub/more.txt".into(), format!("c==1 --hash={HASH}").into()));
    lock.included.push(("limits.txt".into(), "a<2\nunused>1\n".into()));
    assert_eq!(read_lock(&lock).unwrap().wanted.len(), 3);
    lock.included[2].1 = "a>1\n".into();
    let failure = read_lock(&lock).unwrap_err();
    assert!(failure.to_string().contains("'a' is pinned to 1, but its constraint is >1"), "{failure}");
    assert_eq!(failure.span().unwrap().file(), std::path::Path::new("limits.txt"));
}

#[test]
fn a_file_that_includes_itself_ends() {
    let mut lock = lock("-r a.txt\n");
    lock.included.push(("a.txt".into(), "-r a.txt\n".into()));
    assert!(read_lock(&lock).unwrap_err().to_string().contains("includes itself"));
}

#[test]
fn what_is_wrong_is_shown_where_it_stands() {
    for (text, message, line) in [
        ("\n--hsah x\n", "'--hsah' is not an option", 2),
        ("a==1 --hash=md5:00\n", "'md5:00' is not a hash", 1),
        ("a==${TOKEN}\n", "environment variable ${TOKEN}", 1),
        ("a = 1\n", "is not a requirement", 1),
        ("a==1; nope == 'x'\n", "is not a requirement", 1),
        ("-r\n", "needs a value", 1),
        ("https://x.example/\u{fc}\n", "cannot be told", 1),
    ] {
        let failure = read_text(text).unwrap_err();
        assert!(failure.to_string().contains(message), "{text}: {failure}");
        assert_eq!(line_of(&failure), line, "{text}");
    }
}

#[test]
fn another_algorithm_alone_is_refused() {
    let failure = read_text(&format!("a==1 --hash=sha512:{}\n", "0".repeat(128))).unwrap_err();
    assert!(failure.to_string().contains("'a' has no SHA-256 hash"), "{failure}");
}
