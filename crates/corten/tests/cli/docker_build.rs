//! `corten build` of Dockerfiles: what comes out, what is remembered, what is said.

use std::fs;

use crate::dockerfile::Place;

const COPIES: &str = "FROM scratch AS a\nCOPY x /x\nFROM scratch\nCOPY --from=a /x /y\nENV A=b\nCMD [\"/y\"]\n";

fn id(place: &Place, arguments: &str) -> String {
    place.run(arguments).expect(0).json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn an_image_is_built_named_and_written_out() {
    let place = Place::with(COPIES);
    place.write("x", "one");
    let ran = place
        .run("build -t demo:1 -t other --iidfile id --metadata-file meta.json --label l=1 --format json")
        .expect(0);
    let built = ran.json();
    let id = built["id"].as_str().unwrap();
    assert_eq!(fs::read_to_string(place.path().join("id")).unwrap(), id);
    assert_eq!(built["references"], serde_json::json!(["demo:1", "other:latest"]));
    let meta: serde_json::Value = serde_json::from_slice(&fs::read(place.path().join("meta.json")).unwrap()).unwrap();
    assert_eq!(meta["containerimage.config.digest"], id);
    assert_eq!(meta["image.name"], "docker.io/library/demo:1,docker.io/library/other:latest");
    assert!(ran.stderr.contains("] COPY x /x\n"), "{}", ran.stderr);

    place.run("build -o type=oci,tar=false,dest=layout -o out").expect(0);
    assert_eq!(fs::read_to_string(place.path().join("out/y")).unwrap(), "one");
    let names: Vec<_> = fs::read_dir(place.path().join("out")).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(names, ["y"]);
    // What was built stands below another, from the store and from a layout.
    place.write("next", "FROM demo:1\nCOPY x /z\n");
    place.run("build -f next -o next-out .").expect(0);
    assert_eq!(fs::read_to_string(place.path().join("next-out/y")).unwrap(), "one");
    place.write("far", "FROM far.example.org/x:1\nCOPY x /z\n");
    place.run("build -f far --offline --build-context far.example.org/x:1=oci-layout://layout -o far-out .").expect(0);
    assert_eq!(fs::read_to_string(place.path().join("far-out/y")).unwrap(), "one");
}

#[test]
fn the_same_is_made_once_and_why_says_what_changed() {
    let place = Place::with(COPIES);
    place.write("x", "one");
    let first = id(&place, "build --format json");
    let ran = place.run("build --format json").expect(0);
    assert_eq!(ran.json()["id"], first.as_str(), "nothing was made: the image is the same");
    assert!(ran.json()["steps"].as_array().unwrap().iter().all(|step| step["cached"] == true));
    place.write("x", "two");
    let ran = place.run("build --why").expect(0);
    assert!(ran.stderr.contains("] COPY x /x: x changed\n"), "{}", ran.stderr);
    let ran = place.run("build --no-cache-filter a --format json").expect(0);
    let cached: Vec<bool> = ran.json()["steps"].as_array().unwrap().iter().map(|step| step["cached"] == true).collect();
    assert_eq!(cached, [false, true]);
}

#[test]
fn contexts_have_names_and_ignore_files() {
    let place = Place::with("FROM scratch\nCOPY . /\nCOPY --from=docs . /docs/\n");
    place.write("keep", "1");
    place.write("drop", "2");
    place.write("docs/page", "3");
    place.write("docs/draft", "4");
    place.write("docs/.dockerignore", "draft\n.dockerignore\n");
    place.write(".dockerignore", "drop\n");
    place.write("Dockerfile.dockerignore", "*\n!drop\n");
    place.run("build --build-context docs=docs -o out").expect(0);
    let mut found: Vec<String> = Vec::new();
    for folder in ["out", "out/docs"] {
        for entry in fs::read_dir(place.path().join(folder)).unwrap() {
            found.push(entry.unwrap().path().strip_prefix(place.path()).unwrap().display().to_string());
        }
    }
    found.sort();
    assert_eq!(found, ["out/docs", "out/docs/page", "out/drop"]);
}

#[test]
fn what_means_nothing_is_refused_with_the_reason() {
    let place = Place::with("FROM scratch\nCOPY x /\n");
    for (flags, told) in [
        ("--squash", "error: --squash: layers are what makes the next build and pull fast\n"),
        (
            "--cache-to type=inline",
            "error: --cache-to: caches elsewhere come in a later version; the store is the cache\n",
        ),
        ("--platform linux/amd64,linux/arm64", "error: --platform: a Dockerfile is built for one platform at a time\n"),
        ("--allow device", "error: --allow device is not known\n"),
        ("--secret src=x", "error: --secret: it has no id\n"),
        ("--secret hunter2", "error: --secret: a field is no key=value\n"),
        ("--ssh default", "error: --ssh default: there is no agent: SSH_AUTH_SOCK is not set\n"),
        ("--add-host a:host-gateway", "error: --add-host a:host-gateway: write NAME:ADDRESS\n"),
        ("-o type=zip,dest=x", "error: --output 'type=zip,dest=x': type 'zip' is not known\n"),
    ] {
        let ran = place.run(&format!("build {flags} .")).expect(2);
        assert!(ran.stderr.contains(told), "{flags}: {}", ran.stderr);
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
}

/// The address is this machine's, by itself and behind a redirect; a test's server would answer.
#[test]
fn a_pipe_for_an_ignore_file_is_told_and_never_waited_for() {
    let place = Place::with("FROM scratch\nCOPY --from=docs . /docs/\n");
    fs::create_dir(place.path().join("docs")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, place.path().join("docs/.dockerignore"), 0o600.into()).unwrap();
    let ran = place.run("build --build-context docs=docs -o out").expect(1);
    assert!(ran.stderr.contains(".dockerignore is neither a file nor a folder"), "{}", ran.stderr);
}

#[test]
fn an_image_of_another_machine_is_not_taken() {
    let place = Place::with("FROM scratch\nCOPY x /x\n");
    place.write("x", "one");
    place.run("build -t far --platform linux/arm64").expect(0);
    place.write("next", "FROM far\nCOPY x /z\n");
    let ran = place.run("build -f next --platform linux/amd64 .").expect(1);
    assert!(ran.stderr.contains(" is for arm64, not amd64"), "{}", ran.stderr);
    place.run("build -f next --platform linux/arm64 .").expect(0);
}

#[test]
fn d10_add_reaches_no_private_address_unless_that_is_allowed() {
    use corten_testkit::http::{Answer, Server};
    let inner = Server::start(|_| Answer::ok("metadata"));
    let place = Place::with(&format!("FROM scratch\nADD {} /\n", inner.url("/a")));
    let ran = place.run("build").expect(1);
    assert!(ran.stderr.contains("127.0.0.1, which is not on the internet"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: --allow-private-add lets ADD reach this machine"), "{}", ran.stderr);
    assert_eq!(inner.asked().len(), 0);
    place.run("build --allow-private-add -o out").expect(0);
    assert_eq!(fs::read_to_string(place.path().join("out/a")).unwrap(), "metadata");
    let wrong = format!("FROM scratch\nADD --checksum=sha256:{} {} /\n", "0".repeat(64), inner.url("/a"));
    place.write("Dockerfile", wrong);
    let ran = place.run("build --allow-private-add").expect(1);
    assert!(ran.stderr.contains("--checksum says sha256:0000"), "{}", ran.stderr);
}
