//! How layers become blobs, and bytecode: whatever the settings say, the files are the same, and so are the bytes the next
//! time. Read by `gzip`, `zstd` and `tar`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use corten_testkit::wheel::WheelBuilder;
use serde_json::Value;

use crate::ground::{contents, folder, not_run};
use crate::service::{Service, Wheel, wheels};
use crate::told::refuses;

const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";

fn with(settings: &str) -> Service {
    let service = Service::filled();
    service.write("corten.toml", service.settings(settings));
    service
}

/// Builds three times: from nothing, again, on one thread. What is the same each time.
#[track_caller]
fn built(service: &Service) -> Value {
    let first = service.run("build --format json").expect(0).json();
    for line in ["build --format json", "build --format json --no-cache", "build --format json --no-cache --jobs 1"] {
        let again = service.run(line).expect(0).json();
        assert_eq!(again["digest"], first["digest"], "{line}");
    }
    first
}

fn layers(built: &Value) -> &[Value] {
    built["layers"].as_array().unwrap()
}

fn text<'a>(layer: &'a Value, key: &str) -> &'a str {
    layer[key].as_str().unwrap()
}

fn blob(service: &Service, layer: &Value) -> PathBuf {
    service.corten.store().join("blobs").join(text(layer, "digest").replace(':', "/"))
}

/// The media types of all layers, weights last.
fn media_types(built: &Value) -> Vec<&str> {
    let is_weights = |layer: &&Value| layer["what"] == "weights";
    let others = layers(built).iter().filter(|layer| !is_weights(layer));
    let mut types: Vec<&str> = others.map(|layer| text(layer, "media_type")).collect();
    types.dedup();
    types.extend(layers(built).iter().filter(is_weights).map(|layer| text(layer, "media_type")));
    types
}

/// The layers' diff ids, as another program finds them.
fn assert_readable(service: &Service, built: &Value) {
    for layer in layers(built) {
        let mut program = match text(layer, "media_type") {
            GZIP => Command::new("gzip"),
            ZSTD => Command::new("zstd"),
            PLAIN => Command::new("cat"),
            other => panic!("{other}"),
        };
        if layer["media_type"] != PLAIN {
            program.args(["--decompress", "--stdout"]);
        }
        let file = fs::File::open(blob(service, layer)).unwrap();
        let Ok(output) = program.stdin(file).stderr(Stdio::inherit()).output() else {
            not_run("zstd is not installed");
            return;
        };
        assert!(output.status.success(), "{layer}");
        assert_eq!(corten_oci::Digest::of(&output.stdout).to_string(), text(layer, "diff_id"), "{layer}");
        assert_eq!(output.stdout.len() as u64, layer["tar_size"], "{layer}");
    }
}

#[test]
fn each_compression_has_its_media_type_and_the_same_bytes_again() {
    let splice = with("");
    let plain = built(&splice);
    for (settings, media_types_of) in [
        ("compression = \"splice\"", [GZIP, PLAIN]),
        ("compression = \"gzip\"", [GZIP, PLAIN]),
        ("compression = \"zstd\"", [ZSTD, PLAIN]),
        ("compression = \"zstd\"\nweights-compression = \"zstd\"", [ZSTD, ZSTD]),
    ] {
        let service = with(settings);
        let built = built(&service);
        assert_eq!(media_types(&built), media_types_of, "{settings}");
        // The last one, the app, holds the settings.
        let diff_ids = |built: &Value| {
            let layers = layers(built).split_last().unwrap().1;
            layers.iter().map(|layer| text(layer, "diff_id").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(diff_ids(&built), diff_ids(&plain), "{settings}: the files are the same");
        let base = |built: &Value| layers(built)[0]["digest"].clone();
        assert_eq!(base(&built) == base(&plain), settings.ends_with("\"splice\""), "{settings}");
        assert_readable(&service, &built);
    }
}

#[test]
fn estargz_says_so_of_every_gzip_layer() {
    let service = with("estargz = true");
    let built = built(&service);
    assert_readable(&service, &built);
    let store = service.corten.store();
    let manifest = fs::read(store.join("blobs").join(text(&built, "digest").replace(':', "/"))).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    for layer in manifest["layers"].as_array().unwrap() {
        let table = layer["annotations"]["containerd.io/snapshot/stargz/toc.digest"].as_str();
        assert_eq!(table.is_some(), layer["mediaType"] == GZIP, "{layer}");
    }
}

/// Docker before 23 reads no zstd.
#[test]
fn a_docker_archive_has_no_zstd() {
    let service = with("compression = \"zstd\"");
    let built = service.run("build --format json -o type=docker,dest=image.tar").expect(0).json();
    let folder = folder();
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(folder.path()).arg("-xf").arg(service.folder().join("image.tar"));
    assert!(tar.status().unwrap().success());
    let manifest: Value = serde_json::from_slice(&fs::read(folder.path().join("manifest.json")).unwrap()).unwrap();
    let names = manifest[0]["Layers"].as_array().unwrap();
    assert_eq!(names.len(), layers(&built).len());
    for (name, layer) in names.iter().zip(layers(&built)) {
        let mut gzip = Command::new("gzip");
        gzip.args(["--decompress", "--stdout"]).arg(folder.path().join(name.as_str().unwrap()));
        let output = gzip.output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(corten_oci::Digest::of(&output.stdout).to_string(), text(layer, "diff_id"), "{name}");
    }
}

/// The image's files, as `tar` unpacks one layer over the other.
fn unpacked(service: &Service, built: &Value) -> BTreeMap<PathBuf, Vec<u8>> {
    let root = folder();
    for layer in layers(built) {
        let tar = Command::new("tar").arg("-C").arg(root.path()).arg("-xf").arg(blob(service, layer)).output().unwrap();
        assert!(tar.status.success(), "{layer}: {}", String::from_utf8_lossy(&tar.stderr));
    }
    let mut files = contents(&root.path().join("app"));
    files = files.into_iter().map(|(path, content)| (Path::new("app").join(path), content)).collect();
    let library = contents(&root.path().join("opt/venv/lib"));
    files.extend(library.into_iter().map(|(path, content)| (Path::new("opt/venv/lib").join(path), content)));
    files
}

fn cache_path(source: &Path) -> PathBuf {
    let name = format!("{}.cpython-311.pyc", source.file_stem().unwrap().to_str().unwrap());
    source.parent().unwrap().join("__pycache__").join(name)
}

/// How many sources have bytecode. It is that of the bytes that are seen, or none.
fn compiled(files: &BTreeMap<PathBuf, Vec<u8>>) -> usize {
    let sources = files.iter().filter(|(path, _)| path.extension().is_some_and(|ending| ending == "py"));
    let mut count = 0;
    for (path, source) in sources {
        let expected = [format!("code of /{}: ", path.display()).as_bytes(), source].concat();
        match files.get(&cache_path(path)) {
            Some(code) => assert!(*code == expected, "{}: {}", path.display(), String::from_utf8_lossy(code)),
            None => continue,
        }
        count += 1;
    }
    let all = files.keys().filter(|path| path.extension().is_some_and(|ending| ending == "pyc")).count();
    assert_eq!(count, all, "no bytecode without its source");
    count
}

fn of_bytecode(built: &Value) -> Vec<&str> {
    let names = layers(built).iter().map(|layer| text(layer, "what"));
    names.filter(|name| name.starts_with("bytecode")).collect()
}

#[test]
fn bytecode_is_that_of_wheels_and_app() {
    let service = with("bytecode = \"all\"");
    service.write("broken.py", "not Python");
    let all = built(&service);
    // fastapi and uvicorn have a file each, the project has app.py and service/__init__.py.
    assert_eq!(compiled(&unpacked(&service, &all)), 4);
    let names = of_bytecode(&all);
    assert!(names.contains(&"bytecode of app") && !names.contains(&"bytecode of tensor 2.0"), "{names:?}");
    let places = |what: &str| layers(&all).iter().position(|layer| text(layer, "what").starts_with(what)).unwrap();
    assert!(places("tensor") < places("bytecode of") && places("bytecode of") < places("generated"));
    assert_eq!(layers(&all).last().unwrap()["what"], "bytecode of app");
    assert!(layers(&all).iter().all(|layer| layer["what"] == "weights" || layer["media_type"] == GZIP));
    let told = service.run("build --no-cache").expect(0).stderr;
    assert!(told.contains("the project: 1 files do not compile, such as /app/broken.py"), "{told}");

    service.write("corten.toml", service.settings("bytecode = \"app\""));
    let app = built(&service);
    assert_eq!(of_bytecode(&app), ["bytecode of app"]);
    assert_eq!(compiled(&unpacked(&service, &app)), 2);

    service.write("corten.toml", service.settings("bytecode = \"none\""));
    let none = built(&service);
    assert_eq!(compiled(&unpacked(&service, &none)), 0);
    let digests = |built: &Value| -> Vec<Value> {
        let kept = layers(built).iter().filter(|layer| !text(layer, "what").starts_with("bytecode"));
        kept.map(|layer| layer["digest"].clone()).collect()
    };
    assert_eq!((digests(&all), digests(&app)), (digests(&none), digests(&none)), "the other layers are the same");
}

/// A change of the project's code makes its bytecode anew, and nothing else.
#[test]
fn a_change_keeps_the_bytecode_of_wheels() {
    let service = with("bytecode = \"all\"");
    service.run("build").expect(0);
    service.edit("app.py", "well", "very well");
    let again = service.run("build --format json").expect(0).json();
    let new: Vec<&str> =
        layers(&again).iter().filter(|layer| layer["reused"] == false).map(|layer| text(layer, "what")).collect();
    assert_eq!(new, ["app", "bytecode of app"]);
}

/// The interpreter never looks at the source again, so bytecode of a hidden source would be what runs.
#[test]
fn hidden_sources_have_no_bytecode() {
    let service = Service::new();
    let wheel = |name, version, builder: &WheelBuilder| Wheel {
        name,
        version,
        file: builder.file_name(),
        bytes: builder.build(),
    };
    let builder = |name: &str, version: &str| {
        let shared = format!("by = \"{name}\"\n");
        WheelBuilder::new(name, version).file(&format!("{name}/__init__.py"), "").file("shared/__init__.py", shared)
    };
    let tensor =
        builder("tensor", "2.0").file("tensor/hidden.py", "seen = False\n").stored("tensor/large", vec![7; 2_000_000]);
    let changed = [
        wheel("fastapi", "0.115.0", &builder("fastapi", "0.115.0")),
        wheel("tensor", "2.0", &tensor),
        wheel(
            "uvicorn",
            "0.34.0",
            &builder("uvicorn", "0.34.0").entry_points("[console_scripts]\nuvicorn = uvicorn:main\n"),
        ),
    ];
    for wheel in &changed {
        service.index.add(wheel.name, &wheel.file, &wheel.bytes);
    }
    service.write("uv.lock", service.lock_of(&changed));
    service.write("over.py", "seen = True\n");
    let over = "opt/venv/lib/python3.11/site-packages/tensor/hidden.py";
    let extra = format!("bytecode = \"all\"\nextra-files = [{{ from = \"over.py\", to = \"/{over}\" }}]");
    service.write("corten.toml", service.settings(&extra));
    let built = built(&service);
    let files = unpacked(&service, &built);
    // Of each package one, one that all share, the hidden one; app, over, service.
    assert_eq!(compiled(&files), 3 + 1 + 1 + 3);
    assert_eq!(files[Path::new(over)], b"seen = True\n");
}

/// Python writes the same bytecode on every processor, and the other's does not run here.
#[test]
fn bytecode_for_another_processor_is_made_by_this_machines_python() {
    let service = Service::new();
    service.archive.publish_for(&["amd64", "arm64"]);
    let pure: Vec<Wheel> = wheels().into_iter().filter(|wheel| wheel.name != "tensor").collect();
    service.write("uv.lock", service.lock_of(&pure));
    service.write("corten.toml", service.settings("bytecode = \"all\""));
    let build = |platform: &str| service.run(&format!("build --format json --platform {platform}")).expect(0).json();
    let (amd64, arm64) = (build("linux/amd64"), build("linux/arm64"));
    assert_ne!(amd64["digest"], arm64["digest"]);
    let digests = |built: &Value| -> Vec<Value> {
        let compiled = layers(built).iter().filter(|layer| text(layer, "what").starts_with("bytecode"));
        compiled.map(|layer| layer["digest"].clone()).collect()
    };
    assert_eq!(digests(&amd64), digests(&arm64));
    assert_eq!(compiled(&unpacked(&service, &arm64)), 4);
    let bases = layers(&arm64).iter().filter(|layer| text(layer, "what").starts_with("base"));
    assert_eq!(bases.count(), 1, "what compiles is no layer");
}

#[test]
fn what_a_plan_says_of_bytecode() {
    let service = with("bytecode = \"all\"");
    let plan = service.run("plan --format json").expect(0).json();
    let estimated: Vec<&Value> = layers(&plan).iter().filter(|layer| layer["estimated"] == true).collect();
    assert!(estimated.len() >= 2 && estimated.iter().all(|layer| text(layer, "what").starts_with("bytecode of")));
    assert_eq!(layers(&plan).last().unwrap()["what"], "bytecode of app");
    assert!(service.run("plan").expect(0).stdout.contains(" bytecode of app\n"));
}

#[test]
fn settings_that_contradict_each_other() {
    let service = with("compression = \"zstd\"\nestargz = true");
    refuses(
        &service,
        "build",
        2,
        "
error: setting 'estargz' is true beside compression = \"zstd\", but eStargz layers are gzip
 --> ./corten.toml:2:11
  |
2 | estargz = true
  |           ^^^^
",
    );
    for (settings, said) in [
        ("compression = \"xz\"", "setting 'compression' is 'xz', expected \"splice\", \"gzip\" or \"zstd\""),
        ("bytecode = \"some\"", "setting 'bytecode' is 'some', expected \"all\", \"app\" or \"none\""),
        ("weights-compression = \"gzip\"", "setting 'weights-compression' is 'gzip', expected \"none\" or \"zstd\""),
        ("estargz = 1", "setting 'estargz' is an integer, expected true or false"),
    ] {
        service.write("corten.toml", service.settings(settings));
        let ran = service.run("build").expect(2);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}
