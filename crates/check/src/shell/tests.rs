//! What trees come of scripts. Judges: `dash -n` and `bash -n`, where they are installed, say what is a script at all.

use super::*;

fn read(text: &str) -> Script {
    Script::read(&Source::plain(text, 0), Dialect::Bash).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

/// Programs with their arguments, as they are meant.
fn calls(text: &str) -> Vec<String> {
    let script = read(text);
    let shown = |call: &Call<'_>| call.words.iter().map(|word| word.shown().into_owned()).collect::<Vec<_>>().join(" ");
    script.calls().iter().map(shown).collect()
}

#[test]
fn programs_are_found_wherever_they_stand() {
    for (text, expected) in [
        ("a b && c || d; e & f | g", vec!["a b", "c", "d", "e", "f", "g"]),
        ("A=1 B='x y' a \"$B\" c\\ d", vec!["a \"$B\" c d"]),
        ("if a; then b; elif c; then d; else e; fi", vec!["a", "b", "c", "d", "e"]),
        ("for x in 1 2; do a $x; done > f", vec!["a $x"]),
        ("while read l; do a; done < f", vec!["read l", "a"]),
        ("case $x in a|b) c;; (*) d;; esac", vec!["c", "d"]),
        ("(cd x && a) && { b; c; }", vec!["cd x", "a", "b", "c"]),
        ("f() { a; }; function g { b; }", vec!["a", "b"]),
        ("a $(b \"$(c)\") `d \\`e\\``", vec!["a $(b \"$(c)\") `d \\`e\\``", "b \"$(c)\"", "c", "d `e`", "e"]),
        ("sudo -u x env A=b sh -c 'a && b'", vec!["sh -c a && b", "a", "b"]),
        ("find . | xargs -n 1 rm -f", vec!["find .", "rm -f"]),
        ("[[ $a == b* && ! ( -f c ) ]] && a", vec!["a"]),
        ("[[ $a =~ ^(x|y)+$ ]] && a", vec!["a"]),
        ("((a++)); for ((i=0; i<3; i++)); do b; done", vec!["b"]),
        ("a <<EOF && b\n$(c)\nEOF\nd", vec!["a", "c", "b", "d"]),
        ("cat <<A <<-'B' | x\n1\nA\n\t$(no)\n\tB\ny", vec!["cat", "x", "y"]),
        ("a # b && c\nd", vec!["a", "d"]),
        ("a x#y \\#z", vec!["a x#y #z"]),
        ("x=(a \"b c\" $(d)) e", vec!["e", "d"]),
        ("diff <(a) >(b) 2>&1 >/dev/null", vec!["diff <(a) >(b)", "a", "b"]),
        (
            "a ${x:-$(b)} ${y%%.*} ${#z} ${!w} ${v[@]} $# $? $$",
            vec!["a ${x:-$(b)} ${y%%.*} ${#z} ${!w} ${v[@]} $# $? $$", "b"],
        ),
        ("echo $((1 + $(a)))", vec!["echo $((1 + $(a)))", "a"]),
        ("! a | b |& c", vec!["a", "b", "c"]),
        ("time -p a", vec!["a"]),
        ("a {b,c}d e{1..3} {x}", vec!["a {b,c}d e{1..3} {x}"]),
    ] {
        assert_eq!(calls(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_script_is_none() {
    for text in [
        "a &&",
        "a && ; b",
        "if a; then b",
        "a 'b",
        "a \"b",
        "a `b",
        "a $(b",
        "a ${b",
        "( a",
        "{ a;",
        "a ) b",
        "fi",
        "for 1 in a; do b; done",
        "case a in b) c",
        "| a",
        "a | | b",
        "a > ",
        "while; do a; done",
        "a ${}",
        "[[ a ",
        "f() ",
        ";; a",
    ] {
        assert!(Script::read(&Source::plain(text, 0), Dialect::Bash).is_err(), "{text}");
    }
}

#[test]
fn hostile_texts_end_soon() {
    for text in [
        "$(".repeat(100_000),
        "${a:-".repeat(100_000),
        "(".repeat(100_000),
        "((".repeat(100_000),
        "$((".repeat(100_000),
        "{ ".repeat(100_000),
        "`\\".repeat(100_000),
        "{".repeat(50_000),
        "[".repeat(50_000),
        "a <<E ".repeat(50_000),
        "if ".repeat(100_000),
        "f() ".repeat(100_000),
        "@(".repeat(100_000),
        "x=(".repeat(100_000),
        "$((a)".repeat(50_000),
        "sh -c 'sh -c '".repeat(50_000),
        "${a[".repeat(100_000),
        "a[;".repeat(100_000),
        "$(a[)".repeat(100_000),
        "cat <<E\n$(\nE\n".repeat(50_000),
        "cat <<E\n$((\nE\n".repeat(50_000),
        "cat <<E\n`\nE\n".repeat(50_000),
        format!("${{a:-{}", "\"'\"'".repeat(100_000)),
        format!("${{a:-{}", "'".repeat(200_001)),
    ] {
        let _ = Script::read(&Source::plain(&text, 0), Dialect::Bash);
    }
}

#[test]
fn the_script_of_another_shell_in_many_pieces_keeps_its_places() {
    let mut source = Source::default();
    source.add("sh -c ", 0);
    let mut at = 10;
    for _ in 0..50_000 {
        source.add("'a '", at);
        source.add("\"b \"", at + 7);
        at += 20;
    }
    let script = Script::read(&source, Dialect::Bash).unwrap();
    let calls = script.calls();
    let inner = calls.iter().find(|call| call.name == "a").unwrap();
    assert_eq!(inner.words.len(), 100_000);
    for (number, word) in inner.words.iter().enumerate() {
        let start = 10 + 20 * (number / 2) + if number % 2 == 0 { 1 } else { 8 };
        assert_eq!(word.at, start..start + 1, "{number}");
    }
}

#[test]
fn documents_that_cannot_be_read_leave_the_rest_of_the_script_as_it_is() {
    let unreadable = ["${x!}", "$(", "`", "$((", "${", "$(cat <<F\n${x!}\nF\n"];
    for text in unreadable {
        let all = format!("cat <<E\n{text}\nE\n").repeat(60) + "a $(b)";
        let calls = calls(&all);
        assert_eq!(calls.len(), 62, "{text}: {calls:?}");
        assert_eq!(calls[60..], ["a $(b)", "b"], "{text}");
    }
}

/// `bash -n` judges every script of the shared data's Dockerfiles: what it takes is read, what it refuses is not.
/// `CORTEN_DOCKERFILES=FOLDER` adds the files of a folder.
#[test]
fn what_bash_takes_is_read_and_nothing_else() {
    if std::process::Command::new("bash").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "bash is absent");
        return;
    }
    let mut texts = crate::lint::tests::texts();
    if let Some(folder) = std::env::var_os("CORTEN_DOCKERFILES") {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        texts.extend(files.filter_map(|path| std::fs::read_to_string(path).ok()));
    }
    let choice = crate::lint::Choice::default();
    let mut scripts: Vec<String> = Vec::new();
    for text in texts {
        let all = crate::lint::shell_scripts(std::path::Path::new("Dockerfile"), &text, &choice);
        scripts.extend(all.iter().map(|script| script.text().to_owned()).filter(|text| !text.contains('\0')));
    }
    scripts.sort();
    scripts.dedup();
    assert!(scripts.len() > 100, "{}", scripts.len());
    assert!(is_taken("a") && !is_taken("if a; then"));
    let taken: Vec<bool> = scripts.iter().map(|text| is_taken(text)).collect();
    let differ = |(text, taken): (&String, &bool)| {
        let read = Script::read(&Source::plain(text, 0), Dialect::Bash);
        (read.is_ok() != *taken).then(|| format!("bash {taken}, here {:?}:\n{text}\n", read.map(drop)))
    };
    let wrong: Vec<String> = scripts.iter().zip(&taken).filter_map(differ).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), scripts.len(), wrong.join("\n"));
}

fn is_taken(text: &str) -> bool {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut bash = Command::new("bash");
    // `extglob` is off in scripts, and `[[` turns it on for its right side alone.
    bash.args(["-n"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = bash.spawn().unwrap();
    // A script that it refuses early it need not read to the end.
    drop(child.stdin.take().unwrap().write_all(text.as_bytes()));
    child.wait().unwrap().success()
}
