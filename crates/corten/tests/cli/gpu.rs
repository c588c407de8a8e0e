//! `corten gpu`, `gpu check`, `explain`, and what plan and build say of CUDA: on a machine that is made up, with wheels whose
//! libraries have GPU code as nvcc writes it.

use std::fs;
use std::path::Path;

use corten_testkit::command::{Corten, Ran};
use corten_testkit::elf::gpu_library;
use corten_testkit::wheel::WheelBuilder;
use serde_json::{Value, json};

use crate::dockerfile::Place;
use crate::service::{Service, Wheel, corten, wheels};
use crate::told::told;

fn run(corten: &Corten, line: &[&str]) -> Ran {
    corten.run(corten.home(), line.iter().copied())
}

fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn with_t4() -> tempfile::TempDir {
    machine(&[
        (
            "proc/driver/nvidia/version",
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n",
        ),
        ("proc/driver/nvidia/gpus/0000:3b:00.0/information", "Model: \t\t Tesla T4\n"),
    ])
}

#[test]
fn a_machine_says_what_it_has_of_gpus() {
    let (corten, none, t4) = (corten(), machine(&[]), with_t4());
    let at = |root: &Path, more: &[&str]| {
        let mut line = vec!["gpu", "--root", root.to_str().unwrap()];
        line.extend(more);
        run(&corten, &line).expect(0)
    };
    assert_eq!(
        at(none.path(), &[]).stdout,
        "no GPU of NVIDIA and no driver on this machine\n`corten gpu check --driver VERSION --gpu NAME` judges for another\n"
    );
    assert_eq!(at(none.path(), &["--format", "json"]).json(), json!({"driver": null, "gpus": [], "sources": []}));
    assert_eq!(
        at(t4.path(), &[]).stdout,
        "driver  535.104.05\nGPU     Tesla T4, compute capability 7.5\n        of /proc/driver/nvidia/version, /proc/driver/nvidia/gpus\n"
    );
    let gpu = json!({"name": "Tesla T4", "capability": "7.5", "address": "0000:3b:00.0"});
    assert_eq!(at(t4.path(), &["--format", "json"]).json()["gpus"], json!([gpu]));
}

/// torch with code for some architectures, and the runtime of CUDA 13.0 beside it.
fn with_torch(cubins: &[&str]) -> Service {
    let service = Service::filled();
    let torch = WheelBuilder::new("torch", "2.11.0")
        .platlib()
        .tag("cp311-cp311-manylinux_2_17_x86_64")
        .file("torch/__init__.py", "")
        .file("torch/lib/libtorch_cuda.so", gpu_library(cubins, &[]));
    let runtime = WheelBuilder::new("nvidia_cuda_runtime", "13.0.96").file("nvidia/cu13/lib/__init__.py", "");
    let mut all = wheels();
    all.push(Wheel::new("nvidia-cuda-runtime", "13.0.96", &runtime));
    all.push(Wheel::new("torch", "2.11.0", &torch));
    for wheel in &all {
        service.index.add(wheel.name, &wheel.file, &wheel.bytes);
    }
    service.write("uv.lock", service.lock_of(&all));
    service
}

/// How many wheels were fetched.
fn fetched(service: &Service) -> usize {
    service.index.server().server().asked().iter().filter(|asked| asked.path.ends_with(".whl")).count()
}

fn check(service: &Service, line: &str) -> Ran {
    service.run(&format!("gpu check {line}"))
}

fn answers(ran: &Ran) -> Vec<(String, String)> {
    let reasons = ran.json()["platforms"][0]["reasons"].clone();
    let text = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
    reasons.as_array().unwrap().iter().map(|one| (text(one, "rule"), text(one, "answer"))).collect()
}

fn pair(rule: &str, answer: &str) -> (String, String) {
    (rule.to_owned(), answer.to_owned())
}

/// What names and versions say, before any wheel is there; what the libraries say, once they are.
#[test]
fn a_project_is_judged_by_the_tables_and_then_by_its_libraries() {
    let service = with_torch(&["75", "90a"]);
    let before = check(&service, ". --driver 580.65.06 --gpu A100 --format json").expect(0).json();
    assert_eq!(before["fits"], json!(true));
    let code = &before["platforms"][0]["code"][0];
    assert_eq!((&code["file"], &code["cubins"]), (&Value::Null, &json!(["75", "80", "86", "90", "100", "120"])));
    assert_eq!(fetched(&service), 0, "a wheel was fetched");
    service.run("build").expect(0);
    let after = check(&service, ". --driver 580.65.06 --gpu A100 --format json").expect(1);
    assert_eq!(answers(&after), [pair("ML113", "no")]);
    let code = &after.json()["platforms"][0]["code"][0];
    assert_eq!(code["cubins"], json!(["75", "90a"]));
    assert_eq!(
        check(&service, ". --driver 580.65.06 --gpu H100,T4 --format json").expect(0).json()["fits"],
        json!(true)
    );
    // The image says the same, and so does the lock by its name.
    let of_image = check(&service, "service:1.3.0 --driver 580.65.06 --gpu A100 --format json").expect(1);
    assert_eq!(answers(&of_image), [pair("ML113", "no")]);
    assert_eq!(of_image.json()["platforms"][0]["platform"], json!("linux/amd64"));
    assert_eq!(
        answers(&check(&service, "uv.lock --driver 570.26 --gpu T4 --format json").expect(1)),
        [pair("ML107", "no")]
    );
}

#[test]
fn the_answer_comes_first_and_what_to_do_after_it() {
    let service = with_torch(&["75"]);
    let ran = check(&service, ". --driver 570.133.20 --gpu H100").expect(1);
    let expected = "\
linux/amd64: it does not run on H100 with driver 570.133.20
no       driver 570.133.20 is too old for CUDA 13.0: it has to be 580.65.06 or later [ML107]
         nvidia-cuda-runtime 13.0.96 brings CUDA 13.0
         torch 2.11.0 brings CUDA 13.0
";
    assert!(ran.stdout.starts_with(expected), "{}", ran.stdout);
    for said in [
        "         try: a driver of 580.65.06 or later on the host\n",
        "         try: torch 2.11.0+cu126, of the index https://download.pytorch.org/whl/cu126\n",
        "driver   580.65.06 or later\n",
        "code     torch 2.11.0: sm_75 sm_80 sm_86 sm_90 sm_100 sm_120\n",
    ] {
        assert!(ran.stdout.contains(said), "{said}{}", ran.stdout);
    }
    let needs = check(&service, "--root /nonexistent .").expect(0).stdout;
    assert!(
        needs.starts_with("linux/amd64: no driver and no GPU is named: what it needs\nCUDA     13.0 of "),
        "{needs}"
    );
    let own = Service::filled();
    let nothing = check(&own, ". --driver 535 --gpu T4").expect(0).stdout;
    assert_eq!(nothing.trim(), "linux/amd64: nothing here uses CUDA");
}

/// Driver and GPU are this machine's where none are named.
#[test]
fn the_machines_own_gpu_is_the_target() {
    let (service, t4) = (with_torch(&["75"]), with_t4());
    let root = t4.path().display();
    let ran = check(&service, &format!("--root {root} . --format json")).expect(1).json();
    assert_eq!((&ran["target"]["driver"], &ran["target"]["gpus"][0]["name"]), (&json!("535.104.05"), &json!("T4")));
    let other = check(&service, &format!("--root {root} . --gpu H100 --format json")).expect(0).json();
    assert_eq!(other["target"]["driver"], Value::Null, "another GPU is another machine");
}

#[test]
fn plan_and_build_tell_it_as_findings() {
    let service = with_torch(&["75"]);
    let rules = |ran: &Ran| -> Vec<String> {
        let found = ran.json()["findings"].clone();
        found.as_array().unwrap().iter().map(|one| one["rule"].as_str().unwrap().to_owned()).collect()
    };
    let target = "--driver 570.133.20 --gpu H100";
    let planned = service.run(&format!("plan {target} --format json")).expect(0);
    assert_eq!(rules(&planned), ["ML107"], "the table knows code for H100");
    assert_eq!(planned.json()["cuda"], json!({"version": "13.0", "minimum_driver": "580.65.06"}));
    let text = service.run(&format!("plan {target}")).expect(0);
    assert!(text.stderr.contains("warning: ML107 driver 570.133.20 is too old for CUDA 13.0"), "{}", text.stderr);
    assert!(text.stdout.contains("CUDA 13.0: driver 580.65.06 or later"), "{}", text.stdout);
    assert_eq!(fetched(&service), 0, "a plan fetches no wheel");
    let built = service.run(&format!("build {target} --format json")).expect(0);
    assert_eq!(rules(&built), ["ML107", "ML113"], "the library has none");
    let again = service.run(&format!("build {target} --format json")).expect(0);
    assert_eq!(rules(&again), ["ML107", "ML113"]);
    assert_eq!(rules(&service.run("build --gpu none --format json").expect(0)), ["ML127"]);
    assert_eq!(rules(&service.run("build --driver 580 --gpu T4 --format json").expect(0)), [""; 0]);
}

#[test]
fn what_cannot_be_judged_is_refused_in_whole_sentences() {
    let service = Service::filled();
    for (line, expected) in [
        (
            "gpu check . --gpu rtx4099",
            "error: --gpu: no GPU is called 'rtx4099'\nhint: there are: RTX 4090, RTX 4090 D, RTX 4050, RTX 4060, RTX 4070; or say its compute capability: --gpu 9.0",
        ),
        (
            "gpu check . --gpu potato",
            "error: --gpu: no GPU is called 'potato'\nhint: say what `nvidia-smi -L` calls it, or its compute capability: --gpu 9.0",
        ),
        ("gpu check . --gpu none,T4", "error: --gpu none goes with no other GPU"),
        (
            "plan --driver 58x",
            "error: --driver: '58x' is no version of a driver\nhint: expected 580.65.06, or a branch: 580; `nvidia-smi` prints it",
        ),
        ("gpu check ./nowhere", "error: there is no folder or lock ./nowhere"),
        (
            "gpu check app.py",
            "error: the project's lock is uv.lock, not app.py\nhint: `lock` of the settings says which one counts",
        ),
    ] {
        told(&service, &service.run(line), 2, expected);
    }
    told(
        &service,
        &service.run("gpu check nowhere:1"),
        1,
        "error: there is no image 'nowhere:1' in the store\nhint: `corten images` lists what is there\nhint: --remote asks docker.io",
    );
}

#[test]
fn errors_are_explained() {
    let corten = corten();
    let ran = run(&corten, &["explain", "no kernel image is available"]).expect(0);
    assert!(
        ran.stdout
            .starts_with("no-kernel-image\nmeans     a library has no machine code for the GPU's compute capability"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("\ncommand   corten gpu check . --gpu NAME\n"), "{}", ran.stdout);
    let found =
        run(&corten, &["explain", "--format", "json", "Error", "804:", "forward", "compatibility"]).expect(0).json();
    assert_eq!(found["explanations"][0]["id"], json!("forward-compatibility"));
    let unknown = run(&corten, &["explain", "it does not work"]);
    assert_eq!((unknown.status, unknown.stdout.as_str()), (1, ""));
    assert!(
        unknown.stderr.starts_with("error: this text is not known\nhint: give the line of the error as it was printed"),
        "{}",
        unknown.stderr
    );
}

/// A Dockerfile's image with torch for some architectures, as wheels leave it, and CUDA 13.0 beside it.
fn of_dockerfile(after: &str) -> Place {
    let place = Place::with(&format!("FROM scratch\nCOPY site /opt/venv/lib/python3.11/site-packages/\n{after}"));
    place.write("site/torch/lib/libtorch_cuda.so", gpu_library(&["75"], &[]));
    place.write("site/torch-2.11.0.dist-info/METADATA", "Name: torch\nVersion: 2.11.0\n");
    place.write("site/nvidia/cu13/lib/libcudart.so.13", gpu_library(&[], &[]));
    place.write("site/nvidia_cuda_runtime-13.0.96.dist-info/METADATA", "Name: x\n");
    place
}

fn rules_of(ran: &Ran) -> Vec<String> {
    let found = ran.json()["findings"].clone();
    found.as_array().unwrap().iter().map(|one| one["rule"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_image_of_a_dockerfile_is_judged_by_its_libraries() {
    let place = of_dockerfile("");
    let build = |more: &str| place.run(&format!("build {more} --format json")).expect(0);
    let target = "--driver 570.133.20 --gpu H100";
    assert_eq!(rules_of(&build(target)), ["ML107", "ML113"]);
    assert_eq!(rules_of(&build(target)), ["ML107", "ML113"], "remembered");
    let text = place.run(&format!("build {target}")).expect(0).stderr;
    assert!(text.contains("warning: ML107 driver 570.133.20 is too old for CUDA 13.0"), "{text}");
    assert!(text.contains("warning: ML113 torch 2.11.0 has no code for H100 (compute capability 9.0)"), "{text}");
    assert_eq!(rules_of(&build("--driver 580 --gpu T4")), [""; 0]);
    assert_eq!(rules_of(&build("--driver 570")), ["ML107"]);
    assert_eq!(rules_of(&build("--gpu none")), ["ML127"]);
    // A policy of the folder's settings holds for these, too.
    place.write("corten.toml", "frontend = \"dockerfile\"\n[check]\nallow = [\"ML107\"]\n");
    assert_eq!(rules_of(&build(target)), ["ML113"]);
    place.write("corten.toml", "frontend = \"dockerfile\"\n[check]\ndeny = [\"ML113\"]\n");
    let denied = place.run(&format!("build {target} -t demo:1")).expect(1).stderr;
    assert!(denied.contains("error: the image does not pass its checks: ML113"), "{denied}");
}

/// What `gpu check` says of the same image by its name, once its layers are packed.
#[test]
fn a_build_says_of_an_image_what_gpu_check_says() {
    let place = of_dockerfile("");
    let target = "--driver 570.133.20 --gpu H100";
    let built = rules_of(&place.run(&format!("build {target} -t demo:1 --format json")).expect(0));
    let checked = place.run(&format!("gpu check demo:1 {target} --format json")).expect(1).json();
    let reasons = checked["platforms"][0]["reasons"].as_array().unwrap().clone();
    assert_eq!(built, reasons.iter().map(|one| one["rule"].as_str().unwrap().to_owned()).collect::<Vec<_>>());
}

#[test]
fn what_a_later_step_takes_away_is_not_judged() {
    let torch = "/opt/venv/lib/python3.11/site-packages/torch";
    let other = gpu_library(&["90"], &[]);
    let place = of_dockerfile(&format!("COPY other.so {torch}/lib/libtorch_cuda.so\n"));
    place.write("other.so", other);
    let rules = |line: &str| rules_of(&place.run(line).expect(0));
    assert_eq!(rules("build --driver 580.65.06 --gpu H100 --format json"), [""; 0]);
    assert_eq!(rules("build --driver 580.65.06 --gpu T4 --format json"), ["ML113"]);
    // Another layer, with nothing of CUDA in its names: a program of its own.
    let alone = Place::with("FROM scratch\nCOPY --chmod=755 server /server\n");
    alone.write("server", gpu_library(&["75"], &[]));
    let rules = |line: &str| rules_of(&alone.run(line).expect(0));
    assert_eq!(rules("build --gpu H100 --format json"), ["ML113"]);
    assert_eq!(rules("build --gpu T4 --format json"), [""; 0]);
}

/// Flags go before settings, settings before this machine.
#[test]
fn settings_say_on_what_an_image_is_to_run() {
    let service = with_torch(&["75"]);
    let before = service.read("corten.toml");
    service.write("corten.toml", format!("{before}\n[gpu]\ndriver = \"570.133.20\"\ngpus = [\"H100\"]\n"));
    let rules = |line: &str| rules_of(&service.run(&format!("{line} --format json")).expect(0));
    assert_eq!(rules("plan"), ["ML107"]);
    assert_eq!(rules("plan --driver 580.65.06"), [""; 0]);
    assert_eq!(rules("build"), ["ML107", "ML113"]);
    let ready = service.run("check --format json").json();
    let found = ready["findings"].as_array().unwrap().iter().map(|one| one["rule"].clone()).collect::<Vec<_>>();
    assert!(found.contains(&json!("ML107")), "{ready}");
    assert_eq!(rules("build --driver 580.65.06"), ["ML113"]);
    assert_eq!(rules("build --gpu none"), ["ML127"]);
    let checked = check(&service, ". --format json").expect(1).json();
    assert_eq!(checked["target"]["driver"], json!("570.133.20"));
    assert_eq!(checked["target"]["gpus"][0]["name"], json!("H100"));

    let place = of_dockerfile("");
    place.write("corten.toml", "[gpu]\ndriver = \"570.133.20\"\ngpus = [\"H100\"]\n");
    let rules = |line: &str| rules_of(&place.run(&format!("{line} --format json")).expect(0));
    assert_eq!(rules("build"), ["ML107", "ML113"], "the Dockerfile still counts: [gpu] is for both ways");
    assert_eq!(rules("build --driver 580.65.06 --gpu T4"), [""; 0]);
}

#[test]
fn settings_that_name_no_driver_and_no_gpu_are_shown_with_their_place() {
    let place = of_dockerfile("");
    for (settings, expected) in [
        (
            "[gpu]\ndriver = \"58x\"\n",
            "error: setting 'gpu.driver' is '58x', expected a driver's version such as \"580.65.06\", or its branch: \"580\"\n --> corten.toml:2:10\n  |\n2 | driver = \"58x\"\n  |          ^^^^^",
        ),
        (
            "[gpu]\ngpus = [\"T4\", \"rtx4099\"]\n",
            "error: setting 'gpu.gpus': no GPU is called 'rtx4099'\n --> corten.toml:2:15\n  |\n2 | gpus = [\"T4\", \"rtx4099\"]\n  |               ^^^^^^^^^\nhint: there are: RTX 4090, RTX 4090 D, RTX 4050, RTX 4060, RTX 4070; or say its compute capability: gpus = [\"9.0\"]",
        ),
        (
            "[gpu]\ngpus = [\"none\", \"T4\"]\n",
            "error: setting 'gpu.gpus': \"none\" goes with no other GPU\n --> corten.toml:2:9\n  |\n2 | gpus = [\"none\", \"T4\"]\n  |         ^^^^^^",
        ),
    ] {
        place.write("corten.toml", settings);
        let ran = place.run("build").expect(2);
        let path = format!("{}/", place.path().display());
        let error = ran.stderr.replace(&path, "").replace("./corten.toml", "corten.toml");
        assert!(!ran.stderr.contains("COPY"), "a step was made first: {}", ran.stderr);
        let at = error.find("error: ").unwrap_or_default();
        assert_eq!(error[at..].trim_end(), expected);
    }
}

/// Nothing of a GPU is guessed: `init` writes what it is told.
#[test]
fn init_writes_driver_and_gpus_where_it_is_told() {
    let service = Service::filled();
    let plain = service.run("init --dry-run --format json");
    assert!(!plain.stdout.contains("gpu ="), "{}", plain.stdout);
    let told = service.run("init --yes --driver 535.104.05 --gpu L4,H100 --format json").expect(0).json();
    let text = told["files"][0]["text"].as_str().unwrap();
    let line = "# On what it is to run, as --driver and --gpu named it.\ngpu = { driver = \"535.104.05\", gpus = [\"L4\", \"H100\"] }\n";
    assert!(text.contains(line), "{text}");
    let planned = service.run("plan --explain-settings").expect(0).stdout;
    assert!(planned.contains("gpu.driver") && planned.contains("535.104.05"), "{planned}");
    let wrong = service.run("init --gpu potato").expect(2);
    assert!(wrong.stderr.contains("--gpu: no GPU is called 'potato'"), "{}", wrong.stderr);
}
