//! The judgement against a table of cases whose answers others give, and its words.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    sources: BTreeMap<String, String>,
    case: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    lock: Vec<String>,
    platform: String,
    driver: String,
    gpu: String,
    answer: String,
    #[serde(default)]
    says: String,
    source: String,
}

fn packages(lock: &[String]) -> Vec<Package> {
    let package = |text: &String| {
        let (name, version) = text.split_once(' ').unwrap();
        Package { name: name.into(), version: version.into(), size: 100_000_000 }
    };
    lock.iter().map(package).collect()
}

fn target(driver: &str, gpu: &str) -> Target {
    let gpus = if gpu.is_empty() { vec![] } else { vec![super::gpu(gpu).unwrap()] };
    Target { driver: driver.parse().ok(), gpus, without_gpu: false }
}

#[test]
fn every_case_of_the_table_has_the_answer_that_others_give() {
    let cases: Cases = toml::from_str(include_str!("cases.toml")).unwrap();
    assert!(cases.case.len() >= 60);
    let mut wrong = Vec::new();
    for case in &cases.case {
        assert!(cases.sources.contains_key(&case.source), "{case:?}");
        let contents = of_packages(&packages(&case.lock), &case.platform, None);
        let fit = fit(&contents, &target(&case.driver, &case.gpu));
        let first = fit.reasons.first().map_or("", |reason| reason.what.as_str());
        if fit.answer.name() != case.answer
            || !fit.reasons.iter().any(|reason| reason.what.contains(&case.says)) && !case.says.is_empty()
        {
            wrong.push(format!(
                "{} on {} with {} ({}): {} because {first}",
                case.lock.join(", "),
                case.gpu,
                case.driver,
                case.answer,
                fit.answer.name()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn contents(lock: &[&str]) -> Contents {
    let lock: Vec<String> = lock.iter().map(|one| (*one).to_owned()).collect();
    of_packages(&packages(&lock), "amd64", None)
}

const TORCH_13: [&str; 2] = ["torch 2.11.0", "nvidia-cuda-runtime 13.0.96"];

#[test]
fn what_to_change_is_said() {
    let fit = fit(&contents(&TORCH_13), &target("570.133.20", "H100"));
    assert_eq!(
        fit.reasons[0].change,
        [
            "a driver of 580.65.06 or later on the host",
            "the package cuda-compat-13-0 in the image: on GPUs for data centres it lets CUDA 13 run on R535, R550, R565, R570, R575",
            "torch 2.11.0+cu126, of the index https://download.pytorch.org/whl/cu126",
            "torch 2.11.0+cu128, of the index https://download.pytorch.org/whl/cu128",
            "torch >=2.8,<2.11 of PyPI (CUDA 12.8)",
        ]
    );
    let fit = super::fit(&contents(&TORCH_13), &target("580.65.06", "V100"));
    assert_eq!(fit.reasons[0].rule.0, "ML113");
    assert_eq!(fit.reasons[0].change[0], "torch 2.11.0+cu126, of the index https://download.pytorch.org/whl/cu126");
}

/// The driver of the image takes the place of the host's on GPUs for data centres; on others it fails with error 804.
#[test]
fn forward_compatibility_is_for_data_centres() {
    let mut contents = contents(&TORCH_13);
    contents.compat = Some(Compat { driver: "580.65.06".parse().unwrap(), path: "/usr/local/cuda-13.0/compat".into() });
    let answer = |driver: &str, gpu: &str| {
        let fit = fit(&contents, &target(driver, gpu));
        (fit.answer, fit.reasons[0].what.clone())
    };
    assert_eq!(answer("570.133.20", "H100").0, Answer::Fits);
    let (no, why) = answer("570.133.20", "RTX 4090");
    assert!(no == Answer::No && why.contains("error 804"), "{why}");
    assert_eq!(answer("570.133.20", "RTX A6000").0, Answer::Limited);
    let (unknown, why) = answer("545.23.06", "H100");
    assert!(unknown == Answer::Unknown && why.ends_with("NVIDIA lists R535, R550, R565, R570, R575"), "{why}");
}

#[test]
fn libraries_count_by_package_and_their_names() {
    let code = |file: &str, cubins: &[&str], ptx: &[&str]| Code {
        package: "bitsandbytes 0.50.2".into(),
        file: Some(file.into()),
        cubins: cubins.iter().map(|one| one.parse().unwrap()).collect(),
        ptx: ptx.iter().map(|one| one.parse().unwrap()).collect(),
        source: "read".into(),
    };
    let mut contents = contents(&["nvidia-cuda-runtime-cu12 12.8.90"]);
    contents.code = vec![
        code("/x/libbitsandbytes_cuda118.so", &["60", "70", "75", "80", "86", "89", "90"], &[]),
        code("/x/libbitsandbytes_cuda128.so", &["75", "80", "90", "100", "120"], &[]),
        code("/x/libbitsandbytes_cuda130.so", &["75", "90", "100"], &[]),
    ];
    // Only the library for CUDA 12.8 is loaded: the one for 11.8 has code for Pascal, in vain.
    assert_eq!(fit(&contents, &target("570.26", "P100")).answer, Answer::No);
    assert_eq!(fit(&contents, &target("570.26", "RTX 5090")).answer, Answer::Fits);
    contents.code = vec![code("/x/a.so", &["75", "90"], &[]), code("/x/b.so", &["90a"], &[])];
    let some = fit(&contents, &target("570.26", "T4"));
    assert_eq!(some.answer, Answer::Fits);
    assert!(some.reasons[0].what.contains("1 of its 2 libraries have no code for T4"), "{some:?}");
}

#[test]
fn cuda_of_the_base_and_of_the_wheels() {
    let base = |cuda: &str| Runtime {
        cuda: CudaVersion::parse(cuda).unwrap(),
        by: "the base nvidia/cuda".into(),
        of_base: true,
        is_there: true,
    };
    let onnx = packages(&["onnxruntime-gpu 1.22.0".to_owned()]);
    let fits = |cuda: &str| fit(&of_packages(&onnx, "amd64", Some(base(cuda))), &target("580.65.06", "L4"));
    assert_eq!(fits("12.8").answer, Answer::Fits);
    let (other, rule) = (fits("11.8"), "ML106");
    assert_eq!((other.answer, other.reasons[0].rule.0), (Answer::No, rule));
    assert_eq!(other.reasons[0].what, "onnxruntime-gpu 1.22.0 is made for CUDA 12, and the base has CUDA 11.8");
    let torch = packages(&["torch 2.9.1".to_owned(), "nvidia-cuda-runtime-cu12 12.8.90".to_owned()]);
    let both = of_packages(&torch, "amd64", Some(base("11.8")));
    assert_eq!(fit(&both, &target("580.65.06", "L4")).answer, Answer::Limited, "the wheels have their own");

    // Of two that differ from the base the worse one decides, whichever comes first.
    let two = ["torch 2.9.1", "nvidia-cuda-runtime 13.0.48", "onnxruntime-gpu 1.18.0"].map(str::to_owned);
    let mut contents = of_packages(&packages(&two), "amd64", Some(base("12.8")));
    let runtime = |cuda: &str, by: &str, is_there| Runtime {
        cuda: CudaVersion::parse(cuda).unwrap(),
        by: by.into(),
        of_base: false,
        is_there,
    };
    let mut wheels = [runtime("13.0", "torch 2.9.1+cu130", true), runtime("11.8", "onnxruntime-gpu 1.18.0", false)];
    for _ in 0..2 {
        contents.runtimes = [vec![base("12.8")], wheels.to_vec()].concat();
        let fit = fit(&contents, &target("580.65.06", "L4"));
        let mix = fit.reasons.iter().find(|reason| reason.rule.0 == rule).unwrap();
        assert_eq!(
            (mix.answer, mix.what.as_str()),
            (Answer::No, "onnxruntime-gpu 1.18.0 is made for CUDA 11.8, and the base has CUDA 12.8")
        );
        wheels.reverse();
    }
}

#[test]
fn cuda_where_no_gpu_is_meant_has_a_price() {
    let target = Target { without_gpu: true, ..Target::default() };
    let mut lock =
        contents(&["torch 2.9.1", "nvidia-cuda-runtime-cu12 12.8.90", "nvidia-cublas-cu12 12.8.4.1", "triton 3.5.1"]);
    lock.packages[0].size = 900_000_000;
    let fit = fit(&lock, &target);
    assert_eq!((fit.answer, fit.reasons[0].rule.0), (Answer::Limited, "ML127"));
    assert_eq!(fit.reasons[0].what, "it brings CUDA, and no GPU is meant: about 1010 MB of wheels for nothing");
    assert_eq!(super::fit(&contents(&["torch 2.9.1+cpu"]), &target).answer, Answer::Fits);
    assert!(contents(&["torch 2.9.1+cpu", "numpy 2.0"]).is_empty());
}

#[test]
fn names_of_packages_tell_their_cuda() {
    let runtime = |lock: &str| contents(&[lock]).runtimes.first().map(|runtime| runtime.cuda.to_string());
    for (package, expected) in [
        ("cupy-cuda12x 13.6.0", Some("12")),
        ("cupy-cuda118 12.0", Some("11")),
        ("faiss-gpu-cu12 1.14.1", Some("12")),
        ("jax-cuda13-plugin 0.9.2", Some("13")),
        ("torch 3.0.0+cu140", Some("14.0")),
        ("nvidia-cudnn-cu12 9.1.0.70", None),
        ("cuda-python 13.0", None),
        ("cudf-cu12 25.10", Some("12")),
        ("custom-cut 1", None),
        ("cu 1", None),
        ("cué-cuda١٢x 1", None),
    ] {
        assert_eq!(runtime(package).as_deref(), expected, "{package}");
    }
}
