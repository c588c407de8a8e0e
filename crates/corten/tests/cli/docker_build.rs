//! `corten build` of Dockerfiles: what comes out, what is remembered, what is said.

use std::fs;

use corten_oci::Digest;

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

/// A pipe, a device and a link are written to, and never taken away.
#[test]
fn the_id_is_written_into_what_is_no_file() {
    let place = Place::with("FROM scratch\nLABEL a=b\n");
    place.write("stale", "sha256:of another");
    let pipe = place.path().join("pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    std::os::unix::fs::symlink("target", place.path().join("link")).unwrap();
    // Open for both, a pipe keeps what is written until it is read.
    let mut kept = fs::File::options().read(true).write(true).open(&pipe).unwrap();
    let wanted = id(&place, "build --iidfile pipe --format json");
    let mut read = vec![0; wanted.len()];
    std::io::Read::read_exact(&mut kept, &mut read).unwrap();
    assert_eq!(String::from_utf8(read).unwrap(), wanted);
    place.run("build --iidfile link").expect(0);
    let kind = |name: &str| fs::symlink_metadata(place.path().join(name)).unwrap().file_type();
    assert!(kind("link").is_symlink() && std::os::unix::fs::FileTypeExt::is_fifo(&kind("pipe")));
    assert_eq!(fs::read_to_string(place.path().join("target")).unwrap(), wanted);
    // A build that fails leaves no id of another.
    place.write("Dockerfile", "FROM scratch\nCOPY nothing /\n");
    place.run("build --iidfile stale").expect(1);
    assert!(!place.path().join("stale").exists());
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

/// The first time their key is known only when they are written, later before: it is the same.
#[test]
fn files_are_hashed_as_they_are_written() {
    let place = Place::new();
    let large: Vec<u8> = (0..3_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for project in ["one", "two"] {
        place.write(&format!("{project}/large"), &large);
        place.write(&format!("{project}/small"), "small");
        place.write(&format!("{project}/Dockerfile"), "FROM scratch\nCOPY . /d\n");
        (0..100).for_each(|at| place.write(&format!("{project}/many/{at}"), "x".repeat(at * at)));
        let inside = |name: &str| place.path().join(project).join(name);
        // Other names of files that are read once.
        fs::hard_link(inside("large"), inside("other")).unwrap();
        fs::hard_link(inside("many/7"), inside("many/seven")).unwrap();
        for name in ["large", "many/7", "many/8"] {
            let flags = rustix::fs::XattrFlags::empty();
            match rustix::fs::setxattr(inside(name), "user.corten", name.as_bytes(), flags) {
                // Not every disk has them.
                Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    let steps = |ran: &serde_json::Value| -> Vec<bool> {
        ran["steps"].as_array().unwrap().iter().map(|step| step["cached"] == true).collect()
    };
    let build = |arguments: &str| {
        place.run(&format!("build --format json --build-arg SOURCE_DATE_EPOCH=1 {arguments}")).expect(0).json()
    };
    let first = build("one");
    assert_eq!(steps(&first), [false]);
    // The files of another folder were never hashed: they are now, before anything is written.
    for (again, cached) in [("one", true), ("two", true), ("--no-cache two", false), ("--no-cache one", false)] {
        let built = build(again);
        assert_eq!(steps(&built), [cached], "{again}");
        assert_eq!(built["layers"], first["layers"], "{again}");
    }
    place.write("two/large", "another");
    let built = build("two");
    assert_eq!(steps(&built), [false]);
    assert_ne!(built["layers"], first["layers"]);
    // What is copied from a layer goes by the digests that were found on the way.
    place
        .write("Dockerfile.two", "FROM scratch AS a\nCOPY one /d\nFROM scratch\nCOPY --from=a /d/large /d/other /e/\n");
    assert_eq!(steps(&build("-f Dockerfile.two .")), [false, false]);
    place.write("one/small", "another");
    assert_eq!(steps(&build("-f Dockerfile.two .")), [false, true]);
    place.run("build -f Dockerfile.two -o out .").expect(0);
    place.run("build one -o out/one").expect(0);
    for at in 0..100 {
        assert_eq!(fs::read(place.path().join(format!("out/one/d/many/{at}"))).unwrap(), vec![b'x'; at * at]);
    }
    assert!(fs::read(place.path().join("out/e/large")).unwrap() == large);
    assert!(fs::read(place.path().join("out/e/other")).unwrap() == large);
}

/// Who made the image is to blame, not this machine.
#[test]
fn a_base_whose_layer_is_no_tar_is_refused() {
    let place = Place::with("FROM base\nRUN [\"/x\"]\n");
    let layer = vec![b'x'; 2048];
    let put = |kind: &str, bytes: &[u8]| {
        let digest = Digest::of(bytes);
        place.write(&format!("base/blobs/sha256/{}", digest.hex()), bytes);
        serde_json::json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest, "size": bytes.len()})
    };
    let blob = put("layer.v1.tar", &layer);
    let rootfs = serde_json::json!({"type": "layers", "diff_ids": [Digest::of(&layer)]});
    let config = serde_json::json!({"architecture": "amd64", "os": "linux", "rootfs": rootfs});
    let config = put("config.v1+json", config.to_string().as_bytes());
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [blob]});
    let manifest = put("manifest.v1+json", manifest.to_string().as_bytes());
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [manifest]});
    place.write("base/index.json", index.to_string());
    place.write("base/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    let ran = place.run("build --build-context base=oci-layout://base").expect(1);
    assert!(ran.stderr.contains("tar entry 0 at byte 0: "), "{}", ran.stderr);
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

/// The address is this machine's, by itself and behind a redirect; a test's server would answer.
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

/// A Dockerfile whose RUNs have a shell.
fn with_shell(dockerfile: &str) -> Place {
    let place = Place::with(&format!("FROM scratch AS sh\nCOPY --chmod=755 busybox /bin/sh\n{dockerfile}"));
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| fs::metadata(path).is_ok());
    place.write("busybox", fs::read(busybox.expect("busybox, of the Debian package busybox-static")).unwrap());
    place
}

#[test]
fn one_cache_may_be_mounted_twice_and_two_in_any_order() {
    // Both would wait for ever, if a cache were taken for each mount, in the mounts' order.
    let twice = "--mount=type=cache,id=a,sharing=locked,target=/a --mount=type=cache,id=a,sharing=locked,target=/same";
    let orders = [("a", "b"), ("b", "a")].map(|(one, other)| {
        let mount = |id: &str| format!("--mount=type=cache,id={id},sharing=locked,target=/{id}");
        format!("FROM sh AS {one}\nRUN {} {} echo {one} >> /a/log; echo {one} >> /b/log\n", mount(one), mount(other))
    });
    let place = with_shell(&format!(
        "RUN {twice} echo x > /a/x && cat /same/x > /x\n{}FROM scratch\nCOPY --from=sh /x /x\nCOPY --from=a /bin/sh /a\nCOPY --from=b /bin/sh /b\n",
        orders.concat()
    ));
    place.run("build -o out").expect(0);
    assert_eq!(fs::read_to_string(place.path().join("out/x")).unwrap(), "x\n");
    let size = place.run("store size").expect(0).stdout;
    let line = size.lines().find(|line| line.ends_with("  cache mounts")).unwrap_or_else(|| panic!("{size}"));
    assert_eq!(line.split_whitespace().nth(2), Some("2"), "{line}");
    let told = place.run("prune --filter type=exec.cachemount --yes --format json").expect(0).json();
    assert_eq!((&told["files"], &told["images"]), (&2.into(), &serde_json::json!([])));
    // Everything else stays, and what is gone begins anew.
    let again = place.run("build --format json").expect(0).json();
    assert!(again["steps"].as_array().unwrap().iter().all(|step| step["cached"] == true), "{again}");
    place.run("build --no-cache-filter sh .").expect(0);
    assert_eq!(place.run("prune --filter type=exec.cachemount --dry-run --format json").expect(0).json()["files"], 1);
}

#[test]
fn what_was_made_before_a_step_failed_is_there_the_next_time() {
    let place = with_shell("RUN echo one > /one\nRUN cat /one && exit 7\n");
    let failed = place.run("build .").expect(1);
    assert!(failed.stderr.contains("RUN cat /one && exit 7: the command ended with status 7"), "{}", failed.stderr);
    place.write(
        "Dockerfile",
        "FROM scratch AS sh\nCOPY --chmod=755 busybox /bin/sh\nRUN echo one > /one\nRUN cat /one\n",
    );
    let ran = place.run("build --format json").expect(0);
    let cached: Vec<bool> = ran.json()["steps"].as_array().unwrap().iter().map(|step| step["cached"] == true).collect();
    assert_eq!(cached, [true, true, false]);
}

#[test]
fn files_that_stayed_are_taken_from_the_last_layer_and_never_believed() {
    let place = Place::with("FROM scratch\nCOPY d /\n");
    let write = |at: usize, text: &str| place.write(&format!("d/{at}"), text);
    (0..400).for_each(|at| write(at, &format!("file {at}\n")));
    let layer = |ran: &str| place.run(ran).expect(0).json()["layers"][0].as_str().unwrap().to_owned();
    let first = layer("build --format json");
    write(200, "another\n");
    let second = layer("build --format json");
    assert_ne!(first, second);
    assert_eq!(second, layer("build --format json --no-cache"), "by the files themselves");
    // A layer whose bytes are no longer right gives nothing.
    let blob = place.corten.store().join("blobs/sha256").join(second.strip_prefix("sha256:").unwrap());
    let mut bytes = fs::read(&blob).unwrap();
    let at = bytes.windows(9).position(|part| part == b"file 300\n").unwrap();
    bytes[at] = b'F';
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, &bytes).unwrap();
    write(200, "a third\n");
    place.run("build -o out").expect(0);
    assert_eq!(fs::read_to_string(place.path().join("out/300")).unwrap(), "file 300\n");
    assert_eq!(fs::read_to_string(place.path().join("out/200")).unwrap(), "a third\n");
}
