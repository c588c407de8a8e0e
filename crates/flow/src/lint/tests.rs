//! Which files are found, which settings hold where, and what ShellCheck's places become.

use std::fs;

use super::*;

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn options(folder: &Path) -> LintOptions {
    LintOptions {
        inputs: vec![Input::Path(folder.to_owned())],
        folder: folder.to_owned(),
        jobs: 2,
        ..LintOptions::default()
    }
}

/// `file rule` of what is found.
fn found(options: &LintOptions) -> Vec<String> {
    let report = lint(options).unwrap_or_else(|report| panic!("{report}"));
    let shown = |file: &LintedFile, finding: &Finding| {
        format!("{} {}", file.path.strip_prefix(&options.folder).unwrap_or(&file.path).display(), finding.rule)
    };
    report.files.iter().flat_map(|file| file.findings.iter().map(move |finding| shown(file, finding))).collect()
}

const BAD: &str = "FROM debian:12@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\nRUN apt-get install -y x\n";

fn only(rules: &[&str]) -> Choice {
    Choice { select: rules.iter().map(|rule| (*rule).to_owned()).collect(), ..Choice::default() }
}

#[test]
fn folders_are_looked_through_in_the_order_of_names() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        "b/Dockerfile",
        "a.Dockerfile",
        "Dockerfile",
        "a/x/Containerfile",
        ".git/Dockerfile",
        "node_modules/Dockerfile",
        "vendor/Dockerfile",
        "c/Dockerfile.gpu",
    ];
    write(folder.path(), &files.map(|name| (name, BAD)));
    write(folder.path(), &[("corten.toml", "[lint]\nexclude = ['vendor/']\n"), (".git/HEAD", "x")]);
    let options = LintOptions { choice: only(&["DL3008"]), ..options(folder.path()) };
    let expected = ["Dockerfile", "a/x/Containerfile", "a.Dockerfile", "b/Dockerfile", "c/Dockerfile.gpu"];
    assert_eq!(found(&options), expected.map(|name| format!("{name} DL3008")));
    for jobs in [1, 7] {
        assert_eq!(found(&LintOptions { jobs, ..options.clone() }).len(), 5);
    }
}

#[test]
fn settings_hold_for_their_folder_and_below() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[
            (".git/HEAD", "x"),
            (".hadolint.yaml", "ignored: [DL3008]\noverride:\n  error: [DL3015]\nfailure-threshold: error\n"),
            ("Dockerfile", BAD),
            ("own/.hadolint.yml", "ignored:\n  - DL3009\n"),
            ("own/Dockerfile", BAD),
            (
                "ours/corten.toml",
                "[lint]\nextend-select = ['DL3008']\nthreshold = 'error'\n[lint.per-path.'dev/']\nignore = ['DL30']\n",
            ),
            ("ours/dev/Dockerfile", BAD),
        ],
    );
    let of = |choice: Choice| found(&LintOptions { choice, ..options(folder.path()) });
    let usual = of(Choice::default());
    assert!(
        usual.contains(&"own/Dockerfile DL3008".to_owned()) && !usual.contains(&"Dockerfile DL3008".to_owned()),
        "{usual:?}"
    );
    assert!(!usual.iter().any(|one| one.starts_with("ours/dev/Dockerfile DL30")), "{usual:?}");
    let report = lint(&options(folder.path())).unwrap();
    let threshold = |name: &str| report.files.iter().find(|file| file.path.ends_with(name)).unwrap().threshold;
    assert_eq!(
        (threshold("own/Dockerfile"), threshold("dev/Dockerfile")),
        (Some(Severity::Info), Some(Severity::Error))
    );
}

#[test]
fn the_command_line_goes_before_settings() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[
            (".hadolint.yaml", "ignored: [DL3008]\nno-fail: true\n"),
            ("Dockerfile", BAD),
            ("other.yaml", "ignored: []\n"),
        ],
    );
    let options = options(folder.path());
    assert!(lint(&options).unwrap().passed());
    let selected = LintOptions { choice: only(&["DL3008"]), threshold: Some(Severity::Warning), ..options.clone() };
    let report = lint(&selected).unwrap();
    assert!(!report.passed() && report.findings().count() == 1);
    let given = LintOptions { config: Some(folder.path().join("other.yaml")), ..options.clone() };
    assert!(!lint(&given).unwrap().passed());
    let user = LintOptions { user_config: Some(folder.path().join("other.yaml")), ..options };
    assert!(lint(&user).unwrap().passed(), "the project's own goes before");
}

#[test]
fn wrong_settings_say_what_is_wrong() {
    for (name, text, expected) in [
        (".hadolint.yaml", "ignored: DL3008\n", "ignored is no list"),
        (
            ".hadolint.yaml",
            "failure-threshold: loud\n",
            "failure-threshold is one of error, warning, info, style, ignore, none",
        ),
        (".hadolint.yaml", "label-schema:\n  a: colour\n", "label-schema.a is one of text, url"),
        (".hadolint.yaml", "a: [", "broken YAML"),
        ("corten.toml", "[lint]\nignore = ['DL9999']\n", "there is no rule 'DL9999'"),
        (
            "corten.toml",
            "[lint]\nthreshold = 'loud'\n",
            "setting 'lint.threshold' is 'loud', expected one of error, warning, info",
        ),
        ("corten.toml", "[lint]\nexclude = ['[']\n", "a pattern of [lint]"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[(name, text), ("Dockerfile", BAD)]);
        let report = lint(&options(folder.path())).unwrap_err();
        assert!(report.to_string().contains(expected), "{report}");
        assert_eq!(report.error().fault(), corten_diagnostic::Fault::Usage, "{report}");
        assert!(report.error().span().is_some(), "{report}");
    }
}

#[test]
fn folders_without_a_dockerfile_are_told_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let report = lint(&options(folder.path())).unwrap_err();
    assert!(report.to_string().ends_with("has no Dockerfile and no compose file"), "{report}");
    write(folder.path(), &[("uv.lock", "version = 1\n")]);
    let notes = lint(&options(folder.path())).unwrap().notes;
    assert!(notes[0].contains("`corten check`"), "{notes:?}");
}

#[test]
fn files_that_are_no_text_are_findings() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Dockerfile"), b"FROM a\nRUN \xff\n").unwrap();
    fs::write(folder.path().join("a.Dockerfile"), vec![b'#'; 5 << 20]).unwrap();
    fs::write(folder.path().join("compose.yaml"), "a: [").unwrap();
    let report = lint(&options(folder.path())).unwrap();
    let messages: Vec<&str> = report.findings().map(|finding| finding.message.as_str()).collect();
    assert_eq!(messages[..2], ["line 2 is not UTF-8 text", "it is larger than 4 MB"]);
    assert!(messages[2].contains("broken YAML") && !report.passed(), "{messages:?}");
}

/// A program that prints what ShellCheck would: its places become those of the Dockerfile.
#[cfg(unix)]
#[test]
fn what_shellcheck_says_stands_in_the_dockerfile() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let text = "FROM a\n# hadolint ignore=SC2\nRUN x\nENV V=1\nRUN one && \\\n  # why\n  two three\n";
    write(folder.path(), &[("Dockerfile", text)]);
    let program = folder.path().join("shellcheck");
    // It looks for its own lines: what stands before them is not counted here.
    let script = "#!/bin/sh\nn=0\nwhile IFS= read -r l; do n=$((n+1)); case $l in *two*) p=${l%%three*}; \
        printf '{\"comments\":[{\"line\":%s,\"endLine\":%s,\"column\":%s,\"endColumn\":%s,\"level\":\"warning\",\"code\":2999,\"message\":\"M.\"}]}' \
        $n $n $((${#p}+1)) $((${#p}+6)); exit 1;; esac; done\necho '{\"comments\":[]}'\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let options = LintOptions { shellcheck: Some(program), choice: only(&["DL3008"]), ..options(folder.path()) };
    let report = lint(&options).unwrap();
    let [finding] = &report.files[0].findings[..] else { panic!("{:?}", report.files[0].findings) };
    let Place::Text(span) = &finding.at else { panic!() };
    assert_eq!((finding.rule.0, &text[span.range()], span.position()), ("SC2999", "three", (7, 7)));
    assert_eq!((finding.message.as_str(), finding.severity), ("M", Severity::Warning));
    write(folder.path(), &[(".hadolint.yaml", "override:\n  error: [SC2999]\n")]);
    assert_eq!(lint(&options).unwrap().files[0].findings[0].severity, Severity::Error);
}

/// A path is matched from the folder of the settings, wherever the program runs.
#[test]
fn patterns_of_paths_hold_for_relative_ones() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("corten.toml", "[lint.per-path.'ours/dev/']\nignore = ['DL3008']\n"), ("ours/x", "")]);
    let options =
        LintOptions { folder: folder.path().join("ours"), choice: only(&["DL3008"]), ..LintOptions::default() };
    let linter = Linter::new(&options).unwrap();
    let count = |path: &str| linter.text(Path::new(path), BAD).unwrap().findings.len();
    assert_eq!(["dev/Dockerfile", "./dev/x/../Dockerfile", "Dockerfile", "../dev/Dockerfile"].map(count), [0, 0, 1, 1]);
}

const UNANSWERED: &str = "FROM debian:12\nRUN apt-get install curl\n";
const ANSWERED: &str = "FROM debian:12\nRUN apt-get install -y curl\n";

fn mending(inputs: Vec<Input>, folder: &Path) -> LintOptions {
    LintOptions { inputs, mend: Some(fix::Wanted::Safe), choice: only(&["DL3014"]), ..options(folder) }
}

#[cfg(unix)]
#[test]
fn a_file_of_many_names_is_mended_once_and_one_of_another_folder_never() {
    use std::os::unix::fs::symlink;
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(folder.path(), &[("Dockerfile", UNANSWERED), ("b/x", "")]);
    write(elsewhere.path(), &[("Dockerfile", UNANSWERED)]);
    let at = |name: &str| folder.path().join(name);
    symlink("Dockerfile", at("Containerfile")).unwrap();
    symlink("../Dockerfile", at("b/Dockerfile")).unwrap();
    symlink(elsewhere.path().join("Dockerfile"), at("a.Dockerfile")).unwrap();
    let inputs = vec![Input::Path(folder.path().to_owned()), Input::Path(at("Dockerfile"))];
    let report = lint(&mending(inputs, folder.path())).unwrap();
    let [note] = &report.notes[..] else { panic!("{:?}", report.notes) };
    let expected = format!(
        "{} is a link to {}, which is in another folder: no fix is made there; name that file itself",
        at("a.Dockerfile").display(),
        elsewhere.path().canonicalize().unwrap().join("Dockerfile").display()
    );
    assert_eq!(note, &expected);
    write_mended(&report).unwrap();
    assert_eq!(fs::read_to_string(at("Dockerfile")).unwrap(), ANSWERED);
    assert_eq!(fs::read_to_string(elsewhere.path().join("Dockerfile")).unwrap(), UNANSWERED);
    assert!(at("Containerfile").is_symlink() && at("b/Dockerfile").is_symlink());
    // What is left as it is, is still wrong.
    assert_eq!((report.files.len(), report.findings().count()), (5, 1));
}

#[test]
fn a_text_is_no_file_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("Dockerfile", UNANSWERED)]);
    let path = folder.path().join("Dockerfile");
    let text = Input::Text(path.clone(), UNANSWERED.replace("curl", "wget"));
    let report = lint(&mending(vec![text, Input::Path(path.clone())], folder.path())).unwrap();
    write_mended(&report).unwrap();
    assert_eq!(fs::read_to_string(path).unwrap(), ANSWERED);
    let [text, file] = &report.files[..] else { panic!() };
    assert_eq!((text.is_text, &*text.text, file.is_text), (true, &*ANSWERED.replace("curl", "wget"), false));
}

/// git says which files it knows nothing of and does not leave out.
#[test]
fn what_git_leaves_out_is_not_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git").args(arguments).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let places = [
        "",
        "a/",
        "a/b/",
        "build/",
        "build/sub/",
        "c/build/",
        "kept/",
        "kept/x/",
        "gen-1/",
        "gen-2/",
        "deep/er/out/",
        "deep/out/",
        "own/",
        "own/only/",
        "é/",
    ];
    for place in places {
        let names = ["Dockerfile", "api.Dockerfile", "compose.yaml"].map(|name| format!("{place}{name}"));
        names.iter().for_each(|name| write(folder.path(), &[(name, BAD)]));
    }
    write(
        folder.path(),
        &[
            (".gitignore", "# why\nbuild/\n/a/api.Dockerfile\n*.yaml\n!kept/**/*.yaml\ngen-[1]/\ndeep/**/out\n\n"),
            ("own/.gitignore", "/only\n!compose.yaml\n"),
            ("kept/x/.gitignore", "Dockerfile\n"),
        ],
    );
    let all = found(&LintOptions { choice: only(&["DL1000", "DL3008"]), ..options(folder.path()) }).len();
    assert_eq!(all, places.len() * 2, "outside of a repository nothing is left out");
    git(&["init", "--quiet"]);
    write(folder.path(), &[(".git/info/exclude", "é/\n")]);
    let said = git(&["-c", "core.quotePath=false", "ls-files", "--others", "--exclude-standard"]);
    let mut expected: Vec<&str> = said.lines().filter(|path| !path.ends_with(".gitignore")).collect();
    expected.sort_unstable();
    assert!(expected.len() > 12 && expected.len() < 40, "{expected:?}");
    let looked = |options: &LintOptions| {
        let report = lint(options).unwrap();
        let below = |file: &LintedFile| file.path.strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned();
        let mut files: Vec<String> = report.files.iter().map(below).collect();
        files.sort_unstable();
        files
    };
    assert_eq!(looked(&options(folder.path())), expected);
    // From a folder below: what those above say holds, too.
    let own = LintOptions { inputs: vec![Input::Path(folder.path().join("own"))], ..options(folder.path()) };
    expected.retain(|path| path.starts_with("own/"));
    assert_eq!(looked(&own), expected);
    assert_eq!(looked(&LintOptions { no_gitignore: true, ..options(folder.path()) }).len(), places.len() * 3);
    // What is named is looked at.
    let named =
        LintOptions { inputs: vec![Input::Path(folder.path().join("build/Dockerfile"))], ..options(folder.path()) };
    assert_eq!(looked(&named), ["build/Dockerfile"]);
}

/// It was cut after 1 MB, and lines behind that held for nothing.
#[test]
fn a_long_gitignore_holds_to_its_last_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(".git")).unwrap();
    let long = format!("{}/out/\n", "# a comment\n".repeat(100_000));
    assert!(long.len() > 1 << 20);
    write(folder.path(), &[("Dockerfile", BAD), ("out/Dockerfile", BAD), ("own/out/Dockerfile", BAD)]);
    let options = LintOptions { choice: only(&["DL3008"]), ..options(folder.path()) };
    assert_eq!(found(&options).len(), 3);
    for (name, left) in [
        (".gitignore", ["Dockerfile DL3008", "own/out/Dockerfile DL3008"]),
        ("own/.gitignore", ["Dockerfile DL3008", "out/Dockerfile DL3008"]),
        (".git/info/exclude", ["Dockerfile DL3008", "own/out/Dockerfile DL3008"]),
    ] {
        write(folder.path(), &[(name, &long)]);
        assert_eq!(found(&options), left, "{name}");
        fs::remove_file(folder.path().join(name)).unwrap();
    }
}

#[test]
fn a_gitignore_that_is_no_file_is_refused_and_nothing_waits() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[(".git/info/x", ""), ("own/Dockerfile", BAD)]);
    let asked = LintOptions { choice: only(&["DL3008"]), ..options(folder.path()) };
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    for name in [".gitignore", "own/.gitignore", ".git/info/exclude"] {
        let path = folder.path().join(name);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let told = |options: &LintOptions| lint(options).map(|_| ()).unwrap_err().to_string();
        assert_eq!(told(&asked), format!("reading {}: it is a named pipe, no file", path.display()));
        assert_eq!(found(&LintOptions { no_gitignore: true, ..asked.clone() }), ["own/Dockerfile DL3008"]);
        fs::remove_file(&path).unwrap();
        // As git, which takes a folder of that name for none.
        fs::create_dir(&path).unwrap();
        assert_eq!(found(&asked), ["own/Dockerfile DL3008"]);
        fs::remove_dir(&path).unwrap();
        fs::write(&path, "*\n").unwrap();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(told(&asked).ends_with(": it is larger than 64 MB"), "{}", told(&asked));
        fs::remove_file(&path).unwrap();
    }
}

/// What hadolint 2.15.1 does: files before variables, lists together, the highest of severities; judged beside it in the tests of
/// the program.
#[test]
fn variables_of_hadolint_count_below_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let text = &*BAD.replace("RUN ", "RUN apt-get update && ");
    write(
        folder.path(),
        &[
            ("Dockerfile", text),
            (
                "a/.hadolint.yaml",
                "ignored: [DL3015]\noverride:\n  info: [DL3009]\nfailure-threshold: error\nno-fail: false\n",
            ),
            ("a/Dockerfile", text),
            ("b/corten.toml", "[lint]\nseverity = { DL3009 = 'info' }\nthreshold = 'warning'\n"),
            ("b/Dockerfile", text),
        ],
    );
    let variables = [
        ("IGNORE", "DL3008, DL3014"),
        ("OVERRIDE_ERROR", "DL3009"),
        ("OVERRIDE_INFO", "DL3009,DL3057"),
        ("FAILURE_THRESHOLD", "info"),
        ("NOFAIL", "yes"),
        ("TRUSTED_REGISTRIES", "quay.io,*.example.com"),
        ("REQUIRE_LABELS", "maintainer:email,version:colour,name"),
    ];
    let variables = variables.map(|(name, value)| (format!("HADOLINT_{name}"), value.to_owned())).into();
    let options = LintOptions { variables, ..options(folder.path()) };
    let report = lint(&options).unwrap();
    let of = |name: &str| report.files.iter().find(|file| file.path.ends_with(name)).unwrap();
    let rules = |name: &str| -> Vec<(&str, Severity)> {
        of(name)
            .findings
            .iter()
            .map(|one| (one.rule.0, one.severity))
            .filter(|(rule, _)| rule.starts_with("DL"))
            .collect()
    };
    let (error, info) = (Severity::Error, Severity::Info);
    let top = rules("Dockerfile");
    assert!(
        top.contains(&("DL3009", error)) && top.contains(&("DL3057", info)) && top.contains(&("DL3026", error)),
        "{top:?}"
    );
    assert_eq!(top.iter().filter(|(rule, _)| *rule == "DL3049").count(), 2, "{top:?}");
    assert!(top.iter().any(|(rule, _)| *rule == "DL3015") && !top.iter().any(|(rule, _)| *rule == "DL3008"), "{top:?}");
    assert_eq!(of("Dockerfile").threshold, None);
    let (a, b) = (rules("a/Dockerfile"), rules("b/Dockerfile"));
    assert!(!a.iter().any(|(rule, _)| ["DL3008", "DL3015"].contains(rule)) && a.contains(&("DL3009", error)), "{a:?}");
    assert_eq!((of("a/Dockerfile").threshold, of("b/Dockerfile").threshold), (Some(error), Some(Severity::Warning)));
    assert!(b.contains(&("DL3009", info)), "{b:?}");
}

#[test]
fn a_panic_at_one_file_keeps_the_others_findings() {
    let files: Vec<Wanted> = (0..40).map(|number| Wanted::named(Path::new(&format!("{number}.Dockerfile")))).collect();
    let options = LintOptions { choice: only(&["DL3008"]), ..LintOptions::default() };
    let linter = Linter::new(&options).unwrap();
    let look = |wanted: &Wanted| {
        assert!(
            !wanted.path.starts_with("7.Dockerfile") && !wanted.path.starts_with("30.Dockerfile"),
            "a rule's mistake"
        );
        linter.look(wanted, Ok(BAD.to_owned()))
    };
    for jobs in [1, 4] {
        let mut report = LintReport::default();
        look_at(&files, jobs, &look, &mut report).unwrap();
        assert_eq!((report.files.len(), report.findings().count()), (38, 38));
        let failures: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
        let of = |name: &str| format!("looking at {name}: a rule came to a state that cannot be");
        assert_eq!(failures, [of("7.Dockerfile"), of("30.Dockerfile")]);
        assert!(report.failures.iter().all(|failure| failure.error().fault() == corten_diagnostic::Fault::Bug));
    }
    let alone = look_at(&files[7..8], 1, &look, &mut LintReport::default()).unwrap_err();
    assert!(alone.to_string().starts_with("looking at 7.Dockerfile"), "{alone}");
}
