//! Flags of `docker buildx build`: what they do to the image and to what is said about it.

use std::fs;
use std::os::unix::fs::MetadataExt;

use corten_oci::Digest;

use crate::at_terminal::write_root;
use crate::dockerfile::Place;

#[test]
fn ulimits_are_those_of_run() {
    let place = Place::with("FROM scratch\nCOPY root /\nRUN echo $(ulimit -Sn):$(ulimit -Hn) >/limits\n");
    write_root(&place);
    let limits = |flags: &str| {
        place.run(&format!("build --network none {flags} -o out")).expect(0);
        fs::read_to_string(place.path().join("out/limits")).unwrap()
    };
    assert_eq!(limits("--ulimit nofile=777:888"), "777:888\n");
    // As in BuildKit, a step with other limits is another step.
    assert_eq!(limits("--ulimit nofile=555"), "555:555\n");
    let ran = place.run("build --ulimit files=1").expect(2);
    assert!(ran.stderr.contains("error: --ulimit 'files=1': there is no such limit\n"), "{}", ran.stderr);
}

#[test]
fn annotations_go_where_they_are_sent() {
    let place = Place::with("FROM scratch\nCOPY x /\n");
    place.write("x", "1");
    place.run("build --annotation a=1=2 --annotation manifest[linux/amd64]:b=3 --platform linux/amd64 -o type=oci,tar=false,dest=o").expect(0);
    let read = |path: String| -> serde_json::Value {
        serde_json::from_slice(&fs::read(place.path().join("o").join(path)).unwrap()).unwrap()
    };
    let index = read("index.json".into());
    let digest = index["manifests"][0]["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
    assert_eq!(read(digest)["annotations"], serde_json::json!({"a": "1=2", "b": "3"}));
    for (flags, why) in [
        (
            "--annotation index:a=1 -o type=oci,dest=y",
            "error: --annotation index:…: an image of one platform has no index\n",
        ),
        ("--annotation a=1", "error: --annotation: without an output nothing has a manifest\n"),
        ("--annotation manifest-descriptor:a=1", "error: --annotation: without an output nothing has a manifest\n"),
        ("--annotation a -o type=oci,dest=y", "error: --annotation a: it has no value\n"),
    ] {
        let ran = place.run(&format!("build {flags}")).expect(2);
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
    }
    let of_descriptor = "--annotation manifest-descriptor:a=b";
    for flags in
        ["-o out", "-o type=tar,dest=y", "-o type=docker,dest=y", "--provenance true --annotation index:a=b -o out"]
    {
        let ran = place.run(&format!("build {of_descriptor} {flags}")).expect(2);
        let told = "error: --annotation: files and docker's archives have no manifest\nhint: --push, or -o type=oci,dest=FILE\n";
        assert!(ran.stderr.contains(told), "{flags}: {}", ran.stderr);
    }
}

/// The index of a layout, the statements about its image by what they tell.
fn statements(place: &Place, layout: &str) -> (serde_json::Value, Vec<(String, serde_json::Value)>) {
    let folder = place.path().join(layout);
    let read = |path: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(folder.join(path.replace("sha256:", "blobs/sha256/"))).unwrap()).unwrap()
    };
    let index = read(read("index.json")["manifests"][0]["digest"].as_str().unwrap());
    let about = read(index["manifests"][1]["digest"].as_str().unwrap());
    let layers = about["layers"].as_array().unwrap().iter().map(|layer| {
        let kind = layer["annotations"]["in-toto.io/predicate-type"].as_str().unwrap().to_owned();
        (kind, read(layer["digest"].as_str().unwrap()))
    });
    (index, layers.collect())
}

const STATUS: &str = "Package: libx1
Status: install ok installed
Maintainer: X Team <x@example.org>
Architecture: amd64
Source: x (1.0-1)
Version: 1.0-1+b1

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
";

fn write_packages(place: &Place) {
    place.write("root/var/lib/dpkg/status", STATUS);
    place.write("root/etc/os-release", "ID=debian\nVERSION_CODENAME=bookworm\n");
    let metadata = "Metadata-Version: 2.4\nName: Demo_App\nVersion: 2.0\nLicense-Expression: MIT\nAuthor: A. Person\n";
    place.write("root/usr/lib/python3/dist-packages/demo_app-2.0.dist-info/METADATA", metadata);
}

#[test]
fn a_bill_and_provenance_stand_in_an_index_with_the_image() {
    let place = Place::with("FROM scratch AS one\nCOPY root /\nFROM one\nARG V\nARG API_TOKEN\nCOPY x /\n");
    place.write("x", "1");
    write_packages(&place);
    place.write("secret", "canary-of-a-secret");
    let flags = "--sbom true --provenance mode=max,builder-id=https://example.org/b --build-arg V=1 --build-arg API_TOKEN=canary \
        --secret id=token,src=secret --annotation index:b=2 --annotation manifest-descriptor:c=3 -t demo:1";
    let ran =
        place.run(&format!("build {flags} -o type=oci,tar=false,dest=o --metadata-file m --format json")).expect(0);
    let (index, all) = statements(&place, "o");
    assert_eq!(index["annotations"], serde_json::json!({"b": "2"}));
    let [image, about] = index["manifests"].as_array().unwrap().as_slice() else { panic!("{index}") };
    assert_eq!(image["annotations"], serde_json::json!({"c": "3"}));
    assert_eq!(about["annotations"]["vnd.docker.reference.digest"], image["digest"]);
    assert_eq!(about["platform"], serde_json::json!({"os": "unknown", "architecture": "unknown"}));
    let kinds: Vec<&str> = all.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["https://spdx.dev/Document", "https://slsa.dev/provenance/v1"]);
    let text = serde_json::to_string(&all).unwrap();
    assert!(!text.contains("canary"), "{text}");
    let bill = &all[0].1["predicate"];
    let packages: Vec<(&str, &str, &str)> = bill["packages"].as_array().unwrap()[1..]
        .iter()
        .map(|one| {
            let text = |value: &'_ serde_json::Value| value.as_str().unwrap().to_owned().leak() as &str;
            (text(&one["externalRefs"][0]["referenceLocator"]), text(&one["supplier"]), text(&one["licenseDeclared"]))
        })
        .collect();
    assert_eq!(
        packages,
        [
            (
                "pkg:deb/debian/libx1@1.0-1%2Bb1?arch=amd64&distro=bookworm&upstream=x%401.0-1",
                "Organization: X Team (x@example.org)",
                "NOASSERTION"
            ),
            ("pkg:pypi/demo-app@2.0", "Person: A. Person", "MIT"),
        ]
    );
    let told = &all[1].1["predicate"];
    let request = &told["buildDefinition"]["externalParameters"]["request"];
    assert_eq!(request["args"], serde_json::json!({"build-arg:V": "1", "build-arg:API_TOKEN": "xxxxx"}));
    assert_eq!(request["secrets"], serde_json::json!([{"id": "token", "optional": true}]));
    assert_eq!(told["runDetails"]["builder"]["id"], "https://example.org/b");
    for (_, statement) in &all {
        assert_eq!(statement["subject"][0]["name"], "pkg:docker/demo@1?platform=linux%2Famd64");
        assert_eq!(
            format!("sha256:{}", statement["subject"][0]["digest"]["sha256"].as_str().unwrap()),
            image["digest"]
        );
    }
    // The name means the whole; what reads it finds the image and its bill.
    let meta: serde_json::Value = serde_json::from_slice(&fs::read(place.path().join("m")).unwrap()).unwrap();
    assert_eq!(meta["containerimage.digest"], ran.json()["digest"]);
    assert_eq!(meta["containerimage.descriptor"]["mediaType"], "application/vnd.oci.image.index.v1+json");
    let printed = place.run("sbom demo:1").expect(0).json();
    assert_eq!(&printed, bill);
    place.write("next/Dockerfile", "FROM demo:1\n");
    place.run("build --offline next -o next-out").expect(0);
    assert_eq!(fs::read_to_string(place.path().join("next-out/x")).unwrap(), "1");
    place.run("store verify").expect(0);
}

/// As BuildKit's exporters of plain files: in-toto statements about each file, beside them.
#[test]
fn beside_plain_files_a_bill_and_provenance_are_files() {
    let place = Place::with("FROM scratch\nCOPY root x provenance.json /\n");
    for name in ["x", "provenance.json"] {
        place.write(name, "of the image");
    }
    write_packages(&place);
    let flags = "--sbom true --provenance mode=max --build-arg SOURCE_DATE_EPOCH=1700000000";
    place.run(&format!("build {flags} -o out -o type=tar,dest=out.tar,attestation-prefix=of-")).expect(0);
    let path = |name: &str| place.path().join(name);
    let modified = fs::metadata(path("out/sbom.spdx.json")).unwrap();
    assert_eq!((modified.mode() & 0o777, modified.mtime()), (0o600, 1_700_000_000));
    for (file, kind) in
        [("sbom.spdx.json", "https://spdx.dev/Document"), ("provenance.json", "https://slsa.dev/provenance/v1")]
    {
        let bytes = fs::read(path("out").join(file)).unwrap();
        let told: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(told["predicateType"], kind);
        let subjects = told["subject"].as_array().unwrap();
        assert_eq!(subjects.len(), 5);
        for subject in subjects.iter().filter(|subject| subject["name"] != file) {
            let content = fs::read(path("root").join(subject["name"].as_str().unwrap()));
            let content = content.unwrap_or_else(|_| b"of the image".to_vec());
            let digest = format!("sha256:{}", subject["digest"]["sha256"].as_str().unwrap());
            assert_eq!(digest, Digest::of(&content).to_string(), "{subject}");
        }
        let of_tar =
            std::process::Command::new("tar").arg("-xOf").arg(path("out.tar")).arg(format!("of-{file}")).output();
        assert_eq!(of_tar.unwrap().stdout, bytes, "{file}");
    }
    let names = std::process::Command::new("tar").arg("-tf").arg(path("out.tar")).output().unwrap().stdout;
    let names = String::from_utf8(names).unwrap();
    assert!(names.lines().any(|name| name == "provenance.json"), "the image's own has another name: {names}");
}

#[test]
fn ids_and_metadata_are_as_buildx_has_them() {
    let place = Place::with("FROM scratch\nCOPY x /\n");
    place.write("x", "1");
    let read = |name: &str| fs::read_to_string(place.path().join(name)).unwrap();
    let json = |name: &str| serde_json::from_str::<serde_json::Value>(&read(name)).unwrap();
    let flags = "--iidfile id --metadata-file m --annotation index-descriptor:a=b -o type=oci,tar=false,dest=o";
    let ran = place.run(&format!("build --sbom true {flags} --format json")).expect(0).json();
    // With an index the id is its digest, and there is no config.
    assert_eq!(
        (read("id").as_str(), json("m")["containerimage.config.digest"].is_null()),
        (ran["digest"].as_str().unwrap(), true)
    );
    let layout = json("o/index.json");
    let texts = serde_json::json!({"a": "b"});
    assert_eq!(
        (&layout["manifests"][0]["annotations"], &json("m")["containerimage.descriptor"]["annotations"]),
        (&texts, &texts)
    );
    let source = serde_json::json!({"entryPoint": "Dockerfile"});
    let told = &json("m")["buildx.build.provenance"];
    assert_eq!(
        (&told["invocation"]["configSource"], &told["buildType"]),
        (&source, &"https://mobyproject.org/buildkit@v1".into())
    );
    let quiet = place.run("build -q --provenance true -t a:1").expect(0).stdout;
    assert_eq!(place.run("inspect a:1 --format json").expect(0).json()["digest"], quiet.trim());

    let flags = "--iidfile id --metadata-file m --annotation manifest-descriptor:a=b -o type=oci,tar=false,dest=p";
    let ran = place.run(&format!("build --provenance false {flags} --format json")).expect(0).json();
    assert_eq!(
        (read("id").as_str(), json("m")["containerimage.config.digest"].clone()),
        (ran["id"].as_str().unwrap(), ran["id"].clone())
    );
    assert_eq!(json("p/index.json")["manifests"][0]["annotations"], texts);
    assert!(json("m")["buildx.build.provenance"].is_null());
    // What fails leaves no id of another build.
    place.write("Dockerfile", "FROM scratch\nCOPY gone /\n");
    place.run("build --iidfile id").expect(1);
    assert!(!place.path().join("id").exists());
}

#[test]
fn with_an_epoch_what_is_said_is_the_same_each_time() {
    let place = Place::with("FROM scratch\nCOPY x /\n");
    place.write("x", "1");
    let flags = "--sbom true --provenance true --build-arg SOURCE_DATE_EPOCH=1700000000 --format json -t a:1";
    let digest = || place.run(&format!("build {flags}")).expect(0).json()["digest"].clone();
    assert_eq!(digest(), digest());
    place.run("build --no-cache --provenance mode=min --attest type=provenance,disabled=true -o type=oci,tar=false,dest=o").expect(0);
    let (_, all) = statements(&place, "o");
    assert_eq!(all.len(), 1);
    let request = &all[0].1["predicate"]["buildDefinition"]["externalParameters"]["request"];
    assert_eq!((&request["args"], &request["frontend"]), (&serde_json::Value::Null, &"dockerfile.v0".into()));
    assert!(all[0].1["predicate"]["runDetails"]["metadata"]["startedOn"].is_string());
}

/// Also of an image that nobody has said anything about: read from its layers, as they are.
#[test]
fn sbom_lists_what_an_images_databases_list() {
    let place = Place::with("FROM scratch\nCOPY root /\nRUN true\n");
    write_root(&place);
    write_packages(&place);
    place.run("build --network none -t demo:1").expect(0);
    let bill = place.run("sbom demo:1").expect(0).json();
    let names: Vec<&str> =
        bill["packages"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["image", "libx1", "Demo_App"]);
    place.write("Dockerfile", "FROM scratch\nCOPY token /\n");
    place.write("token", "1");
    place.run("build -t empty:1").expect(0);
    let ran = place.run("sbom empty:1").expect(1);
    assert!(
        ran.stderr.contains(
            "has no bill of materials\nhint: none hangs on it, and neither dpkg nor Python list a package in it\n"
        ),
        "{}",
        ran.stderr
    );
}

#[test]
fn attestations_that_cannot_be_are_refused() {
    let place = Place::with("FROM scratch\nCOPY x /\n");
    for (flags, why) in [
        ("--sbom generator=x/y", "error: --sbom generator=x/y: images that generate a bill of materials are not run\n"),
        ("--provenance mode=all", "error: --provenance mode=all: 'mode=all' is not known\n"),
        ("--provenance version=v0.2", "error: --provenance version=v0.2: provenance is written in version v1 alone\n"),
        ("--attest type=vex", "error: --attest type=vex: type=vex is not known: there are sbom and provenance\n"),
        ("--attest mode=min", "error: --attest mode=min: it has no type\n"),
        ("--sbom mode=min", "error: --sbom mode=min: mode and builder-id are of provenance\n"),
        (
            "--sbom true -o type=docker,dest=x",
            "error: --sbom, --provenance: docker's archives have no index, where they would stand\n",
        ),
        (
            "--sbom true --load",
            "error: --sbom, --provenance: docker's archives have no index, where they would stand\n",
        ),
        (
            "--provenance true -o type=oci,dest=x,oci-mediatypes=false",
            "error: --sbom, --provenance: oci-mediatypes=false: an index of theirs is OCI's alone\n",
        ),
        (
            "--annotation index-descriptor:a=b -o type=oci,dest=x",
            "error: --annotation index-descriptor:…: an image of one platform has no index\n",
        ),
        (
            "-o type=oci,dest=x,annotation-index.a=b",
            "error: --annotation index:…: an image of one platform has no index\n",
        ),
        ("--push", "error: --push needs a name to push to\nhint: -t REGISTRY/REPOSITORY:TAG\n"),
    ] {
        let ran = place.run(&format!("build {flags}")).expect(2);
        assert!(ran.stderr.contains(why), "{flags}: {}", ran.stderr);
    }
}

/// Both streams in the order in which they were written, as a terminal leaves them.
#[test]
fn a_failing_run_shows_its_last_lines_in_their_order() {
    let run = "RUN yes | head -n 40; echo oops >&2; printf '\\033[31mred\\033[0m\\n 1 %%\\r 2 %%\\n'; exit 3";
    let place = Place::with(&format!("FROM scratch\nCOPY root /\n{run}\n"));
    write_root(&place);
    let ran = place.run("build --network none --progress plain").expect(1);
    let told: Vec<&str> = ran.stderr.lines().filter_map(|line| line.trim_start().strip_prefix("| ")).collect();
    let last = told.iter().rposition(|line| *line == "oops").unwrap();
    assert_eq!(told[last - 1..last + 3], ["y", "oops", "red", " 2 %"], "{}", ran.stderr);
    let shown: Vec<&str> =
        ran.stderr.lines().filter_map(|line| line.strip_prefix("#2 0.")).map(|line| &line[4..]).collect();
    assert_eq!(shown[shown.len() - 3..], ["oops", "red", " 2 %"], "{}", ran.stderr);
}

/// Tabs of the file and of what a command writes.
#[test]
fn a_tab_is_shown_as_blanks() {
    let place = Place::with("FROM scratch\nCOPY root /\nRUN printf\t'a\\tb\\n'\n");
    write_root(&place);
    let ran = place.run("build --network none --progress plain").expect(0);
    assert!(ran.stderr.contains("] RUN printf 'a\\tb\\n'\n") && ran.stderr.contains(" a    b\n"), "{}", ran.stderr);
    assert!(!ran.stderr.contains('\u{fffd}'), "{}", ran.stderr);
}

#[test]
fn who_trusts_no_certificate_is_told_how() {
    let place = Place::with("FROM scratch\nCOPY root /\nARG WHY\nRUN echo \"$WHY\"; exit 1\n");
    write_root(&place);
    const HINT: &str = "hint: where a proxy looks into TLS, --ca-file FILE lets RUN trust its authority; else the image may lack ca-certificates\n";
    for (why, is_hinted) in [
        ("WARNING:SSLError(SSLCertVerificationError(1,'[SSL:CERTIFICATE_VERIFY_FAILED]", true),
        ("curl:(60)SSL_certificate_problem", false),
    ] {
        let ran = place.run(&format!("build --network none --build-arg WHY={why}")).expect(1);
        assert_eq!(ran.stderr.ends_with(HINT), is_hinted, "{}", ran.stderr);
    }
}

#[test]
fn mistakes_of_every_kind_are_told_at_once() {
    let place = Place::with("FROM scratch\nCOPPY a b\nFROM x AS 9x\nCOPY --frm=a b c\nWORKDIR\n");
    let ran = place.run("build").expect(1);
    let told: Vec<&str> = ran.stderr.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    assert_eq!(
        told,
        [
            "there is no instruction COPPY",
            "9x cannot name a stage",
            "COPY has no flag --frm",
            "WORKDIR needs one argument"
        ]
    );
}
