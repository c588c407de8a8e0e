//! What a user says for all projects: `~/.config/corten/config.toml`.

use std::fs;

use corten_testkit::registry::{FakeRegistry, Habits};
use corten_testkit::tls;
use serde_json::Value;

use crate::reached::add_image;
use crate::service::{Service, corten};
use crate::told::refuses;

/// A service whose user has these settings.
fn with(text: impl AsRef<[u8]>) -> Service {
    let service = Service::new();
    write(&service.corten, text);
    service
}

fn write(corten: &corten_testkit::command::Corten, text: impl AsRef<[u8]>) {
    let folder = corten.home().join(".config/corten");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.toml"), text).unwrap();
}

#[test]
fn the_users_schema_is_the_committed_one() {
    let committed = include_str!("../../../../docs/corten.user.schema.json");
    assert_eq!(Service::new().run("schema --user").expect(0).stdout, committed);
}

#[test]
fn what_is_wrong_in_the_users_settings_is_shown_where_it_stands() {
    for (text, line, column, carets, message, hint) in [
        ("[stor]\n", 1, 2, 4, "unknown setting 'stor'", "did you mean 'store'?"),
        ("[store]\nkeeps = \"1GB\"\n", 2, 1, 5, "unknown setting 'store.keeps'", "did you mean 'store.keep'?"),
        ("[store]\nkeep = 5\n", 2, 8, 1, "setting 'store.keep' is an integer, expected a string", ""),
        (
            "[store]\nkeep = \"5 XB\"\n",
            2,
            8,
            6,
            "setting 'store.keep' is '5 XB', expected a size such as \"500MB\" or \"1.5GiB\"",
            "",
        ),
        (
            "[registries.\"a.b\"]\nmirror = []\n",
            2,
            1,
            6,
            "unknown setting 'registries.a.b.mirror'",
            "did you mean 'registries.a.b.mirrors'?",
        ),
        (
            "[registries.\"a.b\"]\nmirrors = \"c.d\"\n",
            2,
            11,
            5,
            "setting 'registries.a.b.mirrors' is a string, expected an array",
            "",
        ),
        (
            "[registries.\"a.b\"]\nmirrors = [\"https://c.d\"]\n",
            2,
            12,
            13,
            "setting 'registries.a.b.mirrors[0]' is 'https://c.d', expected HOST or HOST/PATH such as \"mirror.example:5000/hub\"",
            "",
        ),
        (
            "[registries.\"a.b\"]\nmirrors = [\"a.b\"]\n",
            2,
            12,
            5,
            "setting 'registries.a.b.mirrors[0]' is the registry itself",
            "",
        ),
        (
            "[registries.\"a.b\"]\ninsecure = \"yes\"\n",
            2,
            12,
            5,
            "setting 'registries.a.b.insecure' is a string, expected true or false",
            "",
        ),
    ] {
        let source = text.lines().nth(line - 1).unwrap();
        let mut expected = format!(
            "error: {message}\n --> …/.config/corten/config.toml:{line}:{column}\n  |\n{}{line} | {source}\n",
            if line > 1 { "…\n" } else { "" }
        );
        expected = expected.replace("…\n2", "2");
        expected += &format!("  | {}{}\n", " ".repeat(column - 1), "^".repeat(carets));
        if !hint.is_empty() {
            expected += &format!("hint: {hint}\n");
        }
        refuses(&with(text), "images", 2, &expected);
    }
    refuses(
        &with("[registries.\"a.b/c\"]\n"),
        "images",
        2,
        "error: setting 'registries.a.b/c' is of no registry, expected HOST or HOST:PORT
 --> …/.config/corten/config.toml:1:1
  |
1 | [registries.\"a.b/c\"]
  | ^^^^^^^^^^^^^^^^^^^^
hint: for instance [registries.\"docker.io\"] or [registries.\"localhost:5000\"]",
    );
    refuses(
        &with("[registries.\"a.b\"]\nca = \"none.pem\"\n"),
        "images",
        2,
        "error: reading the certificate authorities in …/.config/corten/none.pem: No such file or directory (os error 2)
 --> …/.config/corten/config.toml:2:6
  |
2 | ca = \"none.pem\"
  |      ^^^^^^^^^^",
    );
    refuses(
        &with("[store\n"),
        "images",
        2,
        "error: cannot read …/.config/corten/config.toml: …
 --> …/.config/corten/config.toml:1:7
  |
1 | [store
  |       ^",
    );
    let unreadable = "error: reading your settings in …/.config/corten/config.toml: ";
    refuses(&with([0xff]), "images", 2, &format!("{unreadable}it is not UTF-8"));
    refuses(&with(vec![b'#'; 2 << 20]), "images", 2, &format!("{unreadable}it is larger than 1048576 bytes"));
    let service = Service::new();
    fs::create_dir_all(service.corten.home().join(".config/corten/config.toml")).unwrap();
    refuses(&service, "images", 2, &format!("{unreadable}Is a directory (os error 21)"));
}

#[test]
fn mirrors_and_authorities_are_taken_from_the_users_settings_and_flags_go_before() {
    let (mirror, other) = (FakeRegistry::start(Habits::default()), FakeRegistry::start(Habits::default()));
    add_image(&mirror, "hub/team/a", "1");
    add_image(&other, "team/a", "1");
    let pull = |text: &str, more: &str| {
        let corten = corten();
        write(&corten, text);
        let line = format!("resolve registry.invalid/team/a:1 {more}");
        corten.run(corten.home(), line.trim().split(' '))
    };
    let text = format!("[registries.\"registry.invalid\"]\nmirrors = [\"{}/hub\"]\n", mirror.place());
    pull(&text, "").expect(0);
    assert!(other.server().asked().is_empty() && !mirror.server().asked().is_empty());
    let asked = mirror.server().asked().len();
    pull(&text, &format!("--registry-mirror registry.invalid={}", other.place())).expect(0);
    assert_eq!(mirror.server().asked().len(), asked, "a flag goes before");
    // Without TLS, where one says so.
    let reached = pull("[registries.\"registry.invalid\"]\ninsecure = true\n", "").expect(3);
    assert!(reached.stderr.contains("fetching http://registry.invalid/v2/"), "{}", reached.stderr);
    let reached = pull("[registries.\"registry.invalid\"]\ninsecure = false\n", "").expect(3);
    assert!(reached.stderr.contains("fetching https://registry.invalid/v2/"), "{}", reached.stderr);

    let registry = FakeRegistry::start_tls(Habits::default());
    add_image(&registry, "a", "1");
    let place = registry.place().replace("127.0.0.1", "localhost");
    let pull = |of: &str| {
        let corten = corten();
        write(&corten, format!("[registries.\"{of}\"]\nca = \"ca.pem\"\n"));
        fs::write(corten.home().join(".config/corten/ca.pem"), tls::AUTHORITY).unwrap();
        corten.run(corten.home(), ["pull", &format!("{place}/a:1")])
    };
    pull(&place).expect(0);
    assert!(pull("other.test").expect(3).stderr.contains("UnknownIssuer"), "for that one alone");
}

#[test]
fn explained_settings_say_what_comes_from_the_user() {
    let service = with(
        "[store]\nkeep = \"50GB\"\n[registries.\"docker.io\"]\nmirrors = [\"m.example/hub\"]\n[registries.\"a.b\"]\ninsecure = true\n",
    );
    let rows = |line: &str| {
        let all = service.run(&format!("plan --explain-settings --format json {line}")).json();
        let rows = all.as_array().unwrap().clone();
        rows.into_iter()
            .filter(|row| {
                let name = row["name"].as_str().unwrap();
                name.starts_with("store.") || name.starts_with("registries.")
            })
            .map(|row| {
                let text = |field: &str| row[field].as_str().unwrap_or("-").to_owned();
                let place = text("place").rsplit('/').next().unwrap().to_owned();
                format!("{} = {} ({}: {place})", text("name"), text("value"), text("origin"))
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(
        rows(""),
        [
            "store.keep = 50000000000 (file: config.toml:2:8)",
            "registries.a.b.insecure = true (file: config.toml:6:12)",
            "registries.docker.io.mirrors = \"m.example/hub\" (file: config.toml:4:12)",
        ]
    );
    assert_eq!(
        rows("--store-keep 1GB --registry-mirror docker.io=n.example --plain-http a.b"),
        [
            "store.keep = 1000000000 (flag: --store-keep)",
            "registries.docker.io.mirrors = \"n.example\" (flag: --registry-mirror)",
            "registries.a.b.insecure = true (flag: --plain-http)",
        ]
    );
    write(&service.corten, "");
    assert_eq!(rows(""), ["store.keep = - (default: it grows)"]);
    assert_eq!(service.run("images --format json").expect(0).json(), Value::Array(vec![]));
}
