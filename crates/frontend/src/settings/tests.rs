//! The example of the module's documentation is read, and every mistake is shown where it stands.

use corten_diagnostic::Diagnose;

use super::keys::{Key, Otherwise};
use super::*;

fn read(corten: &str) -> Result<Settings, Failure> {
    Settings::read(&Texts {
        corten: Some(Text::new("corten.toml", corten)),
        folder: "My Folder".into(),
        ..Texts::default()
    })
}

fn documented() -> String {
    let lines = include_str!("mod.rs").lines().map_while(|line| line.strip_prefix("//!"));
    let inside = lines.skip_while(|line| line.trim() != "```toml").skip(1).take_while(|line| line.trim() != "```");
    inside.map(|line| format!("{}\n", line.trim_start())).collect()
}

#[test]
fn the_documented_example_is_valid_and_names_every_setting() {
    let settings = read(&documented()).unwrap();
    assert_eq!(*settings.name, "text-classifier");
    assert_eq!(settings.run.unwrap().value, ["uvicorn", "app:app", "--port", "80"]);
    assert_eq!(settings.check.size.unwrap().value, 500_000_000);
    assert_eq!(settings.extra_files[0].mode, Some(0o644));
    assert_eq!(
        settings.env["LOG_LEVEL"].at.as_ref().unwrap().position().0,
        documented().lines().position(|line| line.starts_with("LOG_LEVEL")).unwrap() + 1
    );
    let HealthSetting::On(health) = settings.healthcheck.value else { panic!() };
    assert_eq!(health.probe, Probe::Http("/health".into()));
    assert_eq!(health.timeout, Duration::from_secs(3));
    assert!(settings.native.is_some());
}

#[test]
fn nothing_written_means_defaults() {
    let settings = read("").unwrap();
    assert_eq!(*settings.name, "my-folder");
    assert_eq!(settings.base.to_string(), "debian:bookworm");
    assert_eq!((settings.port.value, settings.native), (Port::Auto, None));
}

/// The text, what the message must hold, what the caret must be under, what the hint must hold.
const MISTAKES: [(&str, &str, &str, &str); 27] = [
    ("varaint = 'slim'", "unknown setting 'varaint'", "varaint", "'variant'"),
    ("cmd = 'x'", "unknown setting 'cmd'", "cmd", "'run'"),
    ("extra_files = []", "unknown setting 'extra_files'", "extra_files", "'extra-files'"),
    ("zzz = 1", "unknown setting 'zzz'", "zzz", "known here: "),
    ("[check]\ndney = []", "unknown setting 'check.dney'", "dney", "'check.deny'"),
    ("healthcheck = { pth = '/x' }", "unknown setting 'healthcheck.pth'", "pth", "'healthcheck.path'"),
    ("extra-files = [{ from = 'a', to = '/a', mod = 1 }]", "'extra-files[0].mod'", "mod", "mode"),
    ("port = 70000", "out of range", "70000", ""),
    ("port = '80'", "is a string", "'80'", ""),
    ("port = true", "is true", "true", ""),
    ("user = 'root'", "is root", "'root'", ""),
    ("user = '1000'", "lower-case letters", "'1000'", ""),
    ("base = 'bookworm'", "debian:bookworm", "'bookworm'", ""),
    ("python = '3'", "minor version", "'3'", ""),
    ("run = 'a && b'", "only a shell understands", "'a && b'", ""),
    ("run = []", "is empty", "[]", ""),
    ("extra-files = [{ from = '../x', to = '/x' }]", "inside the project", "'../x'", ""),
    ("extra-files = [{ from = 'x' }]", "has no 'to'", "{ from = 'x' }", ""),
    ("[env]\nA-B = '1'", "environment variable", "'1'", ""),
    ("[check]\nsize = 'big'", "expected a size", "'big'", ""),
    ("[check]\ndeny = ['everything']", "expected \"error\"", "'everything'", ""),
    ("[archive]\nmain = 'ftp://x'", "https://", "'ftp://x'", ""),
    ("[index]\nurl = 'https://u:p@host/simple'", "user name or password", "'https://u:p@host/simple'", ""),
    ("weights = [{ url = 'https://h/m', to = '../m' }]", "path of a file", "'../m'", ""),
    ("weights = [{ url = 'https://u:p@h/m', to = 'm' }]", "user name or password", "'https://u:p@h/m'", ""),
    ("weights = [{ url = 'https://h/m', to = 'm', sha256 = 'x' }]", "64 hexadecimal digits", "'x'", ""),
    ("name = \n", "cannot read corten.toml", "", ""),
];

#[test]
fn every_mistake_is_shown_where_it_stands() {
    for (text, message, under, hint) in MISTAKES {
        let failure = read(text).unwrap_err();
        assert!(failure.to_string().contains(message), "{text}: {failure}");
        assert_eq!(failure.fault(), Fault::Usage, "{text}");
        let span = failure.span().unwrap_or_else(|| panic!("{text}: no place"));
        if !under.is_empty() {
            assert_eq!(&span.text()[span.range()], under, "{text}");
        }
        assert!(
            failure.hints().iter().any(|found| found.contains(hint)) || hint.is_empty(),
            "{text}: {:?}",
            failure.hints()
        );
        assert!(!failure.to_string().contains("u:p"), "a password is shown");
    }
}

fn with_pyproject(text: &str) -> Result<Settings, Failure> {
    Settings::read(&Texts {
        pyproject: Some(Text::new("pyproject.toml", text)),
        folder: "x".into(),
        ..Texts::default()
    })
}

#[test]
fn pyproject_gives_name_version_and_source() {
    let text = "[project]\nname = 'My_App'\nversion = '1.3.0+local'\n[project.urls]\n'Source Code' = 'https://example.org/x'\n[tool.corten]\nport = 80";
    let settings = with_pyproject(text).unwrap();
    assert_eq!(*settings.name, "my-app");
    assert_eq!(settings.version.unwrap().value, "1.3.0+local");
    assert_eq!(settings.project.unwrap().repository(), Some("https://example.org/x"));
    assert_eq!(settings.port.value, Port::Number(80));
}

#[test]
fn faults_tell_settings_from_the_projects_files() {
    let broken = with_pyproject("[project\n").unwrap_err();
    assert_eq!(broken.fault(), Fault::Input);
    assert_eq!(broken.span().unwrap().position().0, 1);
    assert_eq!(with_pyproject("[project]\nversion = '1'").unwrap_err().fault(), Fault::Input);
    assert_eq!(with_pyproject("[tool.corten]\nprot = 1").unwrap_err().fault(), Fault::Usage);
    let both = Texts {
        corten: Some(Text::new("corten.toml", "")),
        pyproject: Some(Text::new("pyproject.toml", "[tool.corten]")),
        folder: String::new(),
    };
    assert!(Settings::read(&both).unwrap_err().to_string().contains("both"));
}

#[test]
fn settings_that_both_ways_share_do_not_choose_the_native_one() {
    assert_eq!(read("[check]\nsize = '1GB'\n[publish]\nrepository = 'r.example/x'").unwrap().native, None);
    assert_eq!(read("user = 'mluser'").unwrap().native.unwrap().position(), (1, 1));
}

#[test]
fn no_part_of_the_example_makes_it_fall_over() {
    let text = documented();
    for (at, _) in text.char_indices() {
        let _ = read(&text[..at]);
        let without: String = text[..at].chars().chain(text[at..].chars().skip(1)).collect();
        if let Err(failure) = read(&without) {
            assert!(failure.span().is_some(), "{failure}");
        }
    }
}

/// Every key, with the table that it stands in (as TOML begins it) and its full name.
fn all_keys() -> Vec<(String, &'static Key)> {
    let mut all = Vec::new();
    for key in &keys::SETTINGS {
        all.push((format!("{} = VALUE", key.name), key));
        for inner in key.kind.keys() {
            all.push((format!("{} = {{ {} = VALUE }}", key.name, inner.name), inner));
        }
        for inner in key.kind.inner().keys() {
            let others = key.kind.inner().keys().iter().filter(|other| other.name != inner.name);
            let others = others.filter(|other| matches!(other.name, "url" | "to" | "from"));
            let right = |other: &Key| match other.name {
                "url" => "\"https://h/m\"",
                _ if key.name == "weights" => "\"m\"",
                "from" => "\"m\"",
                _ => "\"/m\"",
            };
            let others: String = others.map(|other| format!("{} = {}, ", other.name, right(other))).collect();
            all.push((format!("{} = [{{ {others}{} = VALUE }}]", key.name, inner.name), inner));
        }
    }
    all
}

#[test]
fn no_key_is_left_unread() {
    let keys = all_keys();
    assert!(keys.len() > 45, "{}", keys.len());
    for (toml, key) in keys {
        let failure = read(&toml.replace("VALUE", "1979-05-27")).unwrap_err();
        assert!(failure.to_string().contains(key.name), "{toml}: {failure}");
        assert!(!failure.to_string().contains("unknown setting"), "{toml}: {failure}");
    }
}

#[test]
fn defaults_of_the_table_are_those_that_hold() {
    let usual = read("").unwrap();
    let mut read_back = 0;
    for (toml, key) in all_keys() {
        let Otherwise::Value(value) = key.otherwise else { continue };
        let toml = toml.replace("VALUE", value);
        let written = read(&toml).unwrap_or_else(|failure| panic!("{toml}: {failure}"));
        let same = match (toml.split(' ').next().unwrap(), key.name) {
            ("variant", _) => written.variant.value == usual.variant.value,
            ("workdir", _) => written.workdir.value == usual.workdir.value,
            ("user", _) => written.user.value == usual.user.value,
            ("compression" | "estargz", _) => written.layers.compression.value == usual.layers.compression.value,
            ("weights-compression", _) => written.layers.weights.value == usual.layers.weights.value,
            ("bytecode", _) => written.layers.bytecode.value == usual.layers.bytecode.value,
            ("healthcheck", _) => written.healthcheck.value == HealthSetting::On(Health::default()),
            ("ignore", "defaults") => written.ignore.defaults.value == usual.ignore.defaults.value,
            ("check", "deny") => written.check.deny[0].value == usual.check.deny[0].value,
            ("lint", "strict-labels") => written.lint.strict_labels.is_some_and(|strict| !strict.value),
            // Compared with what the archive's client has, where both are known.
            ("archive", _) => true,
            (_, _) => value == "[]",
        };
        assert!(same, "{toml}");
        read_back += 1;
    }
    assert!(read_back > 20, "{read_back}");
}

#[test]
fn the_documented_example_has_every_key() {
    for (_, key) in all_keys() {
        let text = documented();
        let headers = [format!("[{}]", key.name), format!("[index.{}]", key.name)];
        let named = text.contains(&format!("{} =", key.name)) || headers.iter().any(|header| text.contains(header));
        let instead = key.name == "command" && text.contains("healthcheck");
        assert!(named || instead, "{}", key.name);
    }
}

/// To write it anew: `CORTEN_WRITE_DOCS=1 cargo test -p corten-frontend schema`.
#[test]
fn the_schema_of_the_docs_is_what_is_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/corten.schema.json");
    let wanted = format!("{:#}\n", schema());
    assert!(!wanted.contains("null"), "every default is TOML");
    if std::env::var_os("CORTEN_WRITE_DOCS").is_some() {
        std::fs::write(path, &wanted).unwrap();
    } else {
        let found = std::fs::read_to_string(path).unwrap();
        assert!(
            found == wanted,
            "docs/corten.schema.json is stale: CORTEN_WRITE_DOCS=1 cargo test -p corten-frontend schema"
        );
    }
}
