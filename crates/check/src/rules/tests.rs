//! Every rule's bad example has a finding of it, its good one none of any rule.

use corten_oci::{ContainerConfig, DiffId, Digest, Healthcheck, LayerPath, SetId};
use serde::Deserialize;

use super::*;
use crate::{
    BaseFacts, Budget, FileFacts, ForeignFile, LayerFacts, LibrariesFacts, LibraryFacts, LicenceFacts, LicencePolicy,
    LockFacts, PackageFacts, ProjectFacts, PythonFacts, StepFacts, StepLayer,
};

/// Facts as an example writes them; what it leaves out is fine.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Example {
    user: String,
    listens: bool,
    port: bool,
    healthcheck: bool,
    base: String,
    lock: bool,
    out_of_step: Vec<String>,
    unhashed: Vec<String>,
    yanked: Vec<String>,
    unmet: Vec<String>,
    files: Vec<File>,
    layers: Vec<LayerExample>,
    libraries: Vec<LibraryExample>,
    size: Option<u64>,
    steps: Vec<StepExample>,
    gpu: Option<GpuExample>,
    unpinned: Vec<String>,
    sdists: Vec<String>,
    python: String,
    licences: Vec<String>,
}

impl Default for Example {
    fn default() -> Self {
        Self {
            user: "10001:10001".into(),
            listens: true,
            port: true,
            healthcheck: true,
            base: "debian@sha256:0".into(),
            lock: true,
            out_of_step: vec![],
            unhashed: vec![],
            yanked: vec![],
            unmet: vec![],
            files: vec![],
            layers: vec![],
            libraries: vec![],
            size: None,
            steps: vec![],
            gpu: None,
            unpinned: vec![],
            sdists: vec![],
            python: String::new(),
            licences: vec![],
        }
    }
}

/// Each licence as `package expression`; allowed are a few.
fn project(example: &Example) -> ProjectFacts {
    let packages = |names: &[String]| {
        names.iter().map(|name| PackageFacts { package: name.clone(), why: String::new(), at: None }).collect()
    };
    let licence = |text: &String| {
        let (name, licence) = text.split_once(' ').unwrap();
        let licence = (!licence.is_empty()).then(|| licence.to_owned());
        LicenceFacts { name: name.to_owned(), package: format!("{name} 1"), licence }
    };
    let ended = example.python.split_once(" until ");
    ProjectFacts {
        unpinned: packages(&example.unpinned),
        sdists: packages(&example.sdists),
        python_ended: ended.map(|(version, ended)| PythonFacts {
            version: version.into(),
            ended: ended.into(),
            at: None,
        }),
        licences: example.licences.iter().map(licence).collect(),
        licence_policy: Some(LicencePolicy {
            allow: ["MIT", "BSD-3-Clause", "Apache-2.0", "LicenseRef-Ours"].map(str::to_owned).to_vec(),
            deny: vec!["Apache-2.0".to_owned()],
            except: vec!["ours".to_owned()],
            at: None,
        }),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    weight: bool,
    #[serde(default)]
    runs_code: bool,
}

/// What a lock has of CUDA, and what it is to run on.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct GpuExample {
    lock: Vec<String>,
    platform: String,
    base: Option<String>,
    driver: Option<String>,
    name: Option<String>,
    twice: bool,
    reinstalled: Option<String>,
}

impl GpuExample {
    fn reasons(self) -> Vec<crate::cuda::Reason> {
        use crate::cuda::{Copies, CudaVersion, Package, Runtime, Target, fit, gpu, of_packages};
        let package = |text: &String| {
            let (name, version) = text.split_once(' ').unwrap();
            Package { name: name.into(), version: version.into(), size: 1 }
        };
        let packages: Vec<_> = self.lock.iter().map(package).collect();
        let base = self.base.map(|cuda| Runtime {
            cuda: CudaVersion::parse(&cuda).unwrap(),
            by: "the base".into(),
            of_base: true,
            is_there: true,
        });
        let platform = if self.platform.is_empty() { "amd64" } else { &self.platform };
        let mut contents = of_packages(&packages, platform, base);
        contents.copies = self.twice.then(Copies::default);
        contents.reinstalled = self.reinstalled.into_iter().collect();
        let without_gpu = self.name.as_deref() == Some("none");
        let gpus = self.name.filter(|_| !without_gpu).map(|name| gpu(&name).unwrap()).into_iter().collect();
        let driver = self.driver.map(|driver| driver.parse().unwrap());
        fit(&contents, &Target { driver, gpus, without_gpu }).reasons
    }
}

#[derive(Deserialize)]
struct LibraryExample {
    library: String,
    breaks_import: bool,
}

#[derive(Deserialize)]
struct StepExample {
    name: String,
    #[serde(default)]
    doubled: (u64, u64),
    #[serde(default)]
    installs: Option<String>,
}

#[derive(Deserialize)]
struct LayerExample {
    name: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    mode: u32,
    #[serde(default)]
    machine: Option<String>,
}

fn findings(text: &str) -> Vec<Finding> {
    let example: Example = toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let project = project(&example);
    let config = ContainerConfig {
        user: example.user,
        exposed_ports: example.port.then(|| vec!["8000/tcp".into()]),
        healthcheck: example.healthcheck.then(|| Healthcheck {
            test: vec!["CMD".into(), "true".into()],
            interval: None,
            timeout: None,
            start_period: None,
            start_interval: None,
            retries: None,
        }),
        ..ContainerConfig::default()
    };
    let packages = |names: &[String]| {
        names.iter().map(|name| PackageFacts { package: name.clone(), why: "broken".into(), at: None }).collect()
    };
    let lock = LockFacts {
        name: "uv.lock".into(),
        unhashed: packages(&example.unhashed),
        yanked: packages(&example.yanked),
        unmet: packages(&example.unmet),
        out_of_step: example.out_of_step,
        differs_at: None,
        completed_by: None,
    };
    let files: Vec<_> = example
        .files
        .iter()
        .map(|file| FileFacts { path: &file.path, size: file.size, weight: file.weight, runs_code: file.runs_code })
        .collect();
    let diff_id = DiffId(Digest::of(b""));
    let set_id = |mode: u32| match mode & 0o6000 {
        0 => vec![],
        _ => vec![SetId { path: LayerPath::new("bin/su").unwrap(), mode }],
    };
    let programs: Vec<_> = example.layers.iter().map(|layer| set_id(layer.mode)).collect();
    let foreign = |layer: &LayerExample| {
        let file = |machine: &String| ForeignFile {
            path: LayerPath::new("app/fast.so").unwrap(),
            machine: machine.clone(),
            image: "arm64".into(),
        };
        layer.machine.iter().map(file).collect::<Vec<_>>()
    };
    let foreign: Vec<_> = example.layers.iter().map(foreign).collect();
    let layers: Vec<_> = example
        .layers
        .iter()
        .zip(programs.iter().zip(&foreign))
        .map(|(layer, (set_id, foreign))| LayerFacts { name: &layer.name, size: layer.size, diff_id, set_id, foreign })
        .collect();
    crate::check(&CheckInput {
        config: &config,
        listens: example.listens,
        settings: None,
        base: BaseFacts { pinned: example.base.contains('@'), name: example.base, at: None },
        lock: example.lock.then_some(lock),
        files: &files,
        layers: &layers,
        libraries: LibrariesFacts {
            missing: example
                .libraries
                .iter()
                .map(|library| LibraryFacts {
                    library: library.library.clone(),
                    file: "/opt/venv/lib/python3.11/site-packages/cv2/cv2.abi3.so".into(),
                    package: Some("opencv-python 4.12.0".into()),
                    files: 1,
                    breaks_import: library.breaks_import,
                    deb: Some("libgl1".into()),
                })
                .collect(),
            asked: vec!["ffmpeg".into()],
            at: None,
        },
        budget: example.size.map(|bytes| Budget { bytes, at: None }),
        steps: &example
            .steps
            .into_iter()
            .map(|StepExample { name, doubled, installs }| StepFacts {
                name,
                doubled,
                installs,
                ..StepFacts::default()
            })
            .collect::<Vec<_>>(),
        gpu: &example.gpu.map(GpuExample::reasons).unwrap_or_default(),
        project,
    })
}

#[test]
fn expressions_of_licences_are_judged_as_they_are_meant() {
    let told = |licence: &str| {
        let found = findings(&format!("licences = ['a {licence}']"));
        found.into_iter().map(|finding| finding.message).collect::<Vec<_>>()
    };
    for allowed in ["MIT", "mit", "MIT OR GPL-3.0-only", "(MIT AND BSD-3-Clause) OR GPL-2.0-only", "LicenseRef-Ours"] {
        assert_eq!(told(allowed), [""; 0], "{allowed}");
    }
    for refused in ["GPL-3.0-only", "MIT AND GPL-3.0-only", "Apache-2.0", "GPL-2.0", "LicenseRef-Theirs", "own words"] {
        assert_eq!(told(refused), [format!("a 1 is under {refused}")]);
    }
    assert_eq!(told(""), ["a 1 does not say under which licence it is"]);
}

#[test]
fn bad_examples_have_a_finding_and_good_ones_none() {
    for rule in OF_IMAGES {
        let bad = findings(rule.bad);
        assert!(bad.iter().any(|finding| finding.rule == rule.id), "{}: {}", rule.id, rule.bad);
        assert!(bad.iter().all(|finding| finding.rule == rule.id), "{}: {bad:?}", rule.id);
        assert_eq!(findings(rule.good), [], "{}", rule.id);
    }
}

#[test]
fn rules_are_sorted_unique_and_told_well() {
    assert!(OF_IMAGES.windows(2).all(|pair| pair[0].id < pair[1].id));
    for rule in OF_IMAGES {
        for text in [rule.what, rule.why] {
            assert!(text.ends_with('.') && text.starts_with(|c: char| c.is_uppercase()), "{}: {text}", rule.id);
        }
        for finding in findings(rule.bad) {
            assert!(!finding.message.ends_with('.'), "{finding:?}");
        }
    }
    assert_eq!(rule("ML151").unwrap().name, "root-user");
}

#[test]
fn a_batch_job_needs_neither_port_nor_health_check() {
    assert_eq!(findings("listens = false\nport = false\nhealthcheck = false"), []);
    assert_eq!(findings("listens = false\nhealthcheck = false").len(), 1, "it exposes a port, so it listens");
}

#[test]
fn users_are_root_by_number_name_or_silence() {
    for (user, rule) in [
        ("", "ML151"),
        ("0", "ML151"),
        ("root:x", "ML151"),
        ("00:5", "ML151"),
        ("app", "ML152"),
        ("app:10001", "ML152"),
        ("10001:app", "ML152"),
    ] {
        let found = findings(&format!("user = '{user}'"));
        assert_eq!(found.iter().map(|finding| finding.rule.0).collect::<Vec<_>>(), [rule], "{user}");
    }
    assert_eq!(findings("user = '1000'"), []);
}

#[test]
fn secret_names_are_known_and_their_lookalikes_spared() {
    let found = |path: &str| {
        findings(&format!("files = [{{ path = '{path}' }}]")).iter().any(|finding| finding.rule.0 == "ML142")
    };
    for path in [
        ".env",
        "deploy/.env.production",
        "id_rsa",
        ".ssh/id_ed25519",
        "certs/server.key",
        "tls/privkey.pem",
        "key.p12",
        "kaggle.json",
        ".aws/credentials",
        "credentials.json",
        "sub/.netrc",
        ".npmrc",
        ".pypirc",
        "kubeconfig",
        ".kube/config",
        ".docker/config.json",
        "service-account-prod.json",
        ".git-credentials",
        ".streamlit/secrets.toml",
        ".cache/huggingface/token",
        "pip.conf",
        "x.TFSTATE",
    ] {
        assert!(found(path), "{path}");
    }
    for path in [
        ".env.example",
        ".env.sample",
        "environment.py",
        "id_rsa.pub",
        "certs/ca-bundle.pem",
        "cacert.pem",
        "fullchain.pem",
        "server.crt",
        "tests/fixtures/server.key",
        "token.py",
        "credentials.py",
        "secrets.py",
        "keyboard.json",
        "app/config.json",
        "monkey.json",
        "public_key.pem",
        "tokenizer.json",
    ] {
        assert!(!found(path), "{path}");
    }
}

#[test]
fn what_installing_left_is_told_as_far_as_it_is_known() {
    let step = |name: &str, installs: Option<&str>, seconds, layer| StepFacts {
        name: name.into(),
        installs: installs.map(str::to_owned),
        seconds,
        layer,
        ..StepFacts::default()
    };
    let layer = |bytes, caches| Some(StepLayer { bytes, caches, bytecode: 2_000_000, compilers: 0 });
    let steps = [
        step("[1/3] RUN apt-get install -y gcc", None, Some(9.0), layer(1_000_000, 0)),
        step("[2/3] RUN pip install -r a.txt", Some("a.txt"), Some(3.25), layer(50_000_000, 7_000_000)),
        step("[3/3] RUN pip install -r b.txt", Some("b.txt"), Some(1.0), None),
    ];
    let [finding] = &crate::check_steps(&steps)[..] else { panic!() };
    assert_eq!(
        finding.message,
        "[2/3] RUN pip install -r a.txt: it installs what a.txt and b.txt names (took 4.2 s, commands left 2 layers of 51.0 MB in the image, 7.0 MB of caches of package managers, 4.0 MB of compiled Python)"
    );
    let cached = [step("[2/2] RUN uv sync", Some("uv.lock"), None, None)];
    assert_eq!(crate::check_steps(&cached)[0].message, "[2/2] RUN uv sync: it installs what uv.lock names");
}

#[test]
fn sizes_are_for_people() {
    assert_eq!(amount(1_549_999), "1.5 MB");
    assert_eq!(amount(1_950_000), "2.0 MB");
    assert_eq!(amount(73_249), "73.2 kB");
    assert_eq!(amount(0), "0.0 kB");
}
