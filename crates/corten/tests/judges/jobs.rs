//! The examples that are jobs, as a cluster runs them: user 10001, a root that is only read, data and results on mounts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use crate::bundle::{Bundle, mount, mount_writable, variable};
use crate::image::{examples, shipped};
use crate::place::{new_folder, said, until};

const PYTHON: &str = "/opt/venv/bin/python";

/// A shipped and unpacked example.
struct Job {
    name: &'static str,
    bundle: Bundle,
}

impl Job {
    /// None, said and counted, where a judge is missing. A job is shipped without any finding, and says nothing about ports
    /// and health.
    fn new(name: &'static str) -> Option<Self> {
        let bundle = Bundle::unpack(name, || {
            let (told, layout) = shipped(name);
            assert_eq!(told["findings"], json!([]), "{name}");
            let config = &config(&layout, &told)["config"];
            assert_eq!((&config["ExposedPorts"], &config["Healthcheck"]), (&Value::Null, &Value::Null));
            assert_eq!(config["User"], "10001:10001");
            let variables: Vec<&str> =
                config["Env"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
            assert!(variables.iter().all(|variable| !variable.starts_with("PORT=")), "{variables:?}");
            (layout, "0.1.0")
        })?;
        Some(Self { name, bundle })
    }

    /// A file or folder of the example.
    fn part(&self, path: &str) -> PathBuf {
        examples().join(self.name).join(path)
    }

    /// Runs the example's own tests with the image's Python.
    fn passes_its_tests(&self, name: &'static str, change: impl FnOnce(&mut Value)) {
        let tests = self.bundle.container(name, |config| {
            mount(config, &self.part("tests"), "/srv");
            config["process"]["args"] = json!([PYTHON, "-m", "unittest", "discover", "/srv"]);
            change(config);
        });
        let tests = tests.run();
        assert!(tests.status.success() && said(&tests).ends_with("\nOK\n"), "{}", said(&tests));
    }
}

fn config(layout: &Path, told: &Value) -> Value {
    let read = |digest: &Value| {
        let blob = layout.join("blobs").join(digest.as_str().unwrap().replace(':', "/"));
        serde_json::from_slice::<Value>(&fs::read(blob).unwrap()).unwrap()
    };
    let mut manifest = read(&told["digest"]);
    if let Some(first) = manifest["manifests"].as_array().and_then(|all| all.first()) {
        manifest = read(&first["digest"]);
    }
    read(&manifest["config"]["digest"])
}

/// A new folder that the image's user may write to.
fn results(name: &str) -> PathBuf {
    let folder = new_folder(name);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

#[test]
fn batch_score_takes_data_and_leaves_results() {
    let Some(job) = Job::new("batch-score") else { return };
    job.passes_its_tests("score-tests", |_| ());

    let folder = results("scores");
    let scores = |name, data: &Path| {
        job.bundle
            .container(name, |config| {
                mount(config, data, "/data");
                mount_writable(config, &folder, "/results");
            })
            .run()
    };
    let scored = scores("score", &job.part("tests/data"));
    assert_eq!((said(&scored), scored.status.code()), (summary(2, 150, 0), Some(0)));
    let again = scores("score-again", &job.part("tests/data"));
    assert_eq!((said(&again), again.status.code()), (summary(0, 0, 2), Some(0)));
    let mut rows: Vec<String> = Vec::new();
    for table in ["first", "second"] {
        let text = fs::read_to_string(folder.join(format!("{table}.scored.csv"))).unwrap();
        assert_eq!(text.lines().next(), Some("id,malignant"));
        rows.extend(text.lines().skip(1).map(str::to_owned));
    }
    let answers = fs::read_to_string(job.part("tests/answers.csv")).unwrap();
    let likely = |row: &str| row.rsplit(',').next().unwrap().parse::<f64>().unwrap() > 0.5;
    let right = rows.iter().zip(answers.lines().skip(1)).filter(|(row, answer)| likely(row) == likely(answer)).count();
    assert!(rows.len() == 150 && right > 142, "{right} of {}", rows.len());

    let nothing = scores("score-nothing", &new_folder("no-tables"));
    assert_eq!(nothing.status.code(), Some(1), "{}", said(&nothing));
}

fn summary(tables: u32, rows: u32, already: u32) -> String {
    format!("{{\"tables\": {tables}, \"rows\": {rows}, \"already\": {already}, \"failed\": 0}}\n")
}

#[test]
fn train_job_goes_on_after_it_was_killed() {
    let Some(job) = Job::new("train-job") else { return };
    let data = |config: &mut Value| mount(config, &job.part("data"), "/data");
    job.passes_its_tests("train-tests", |config| {
        data(config);
        variable(config, "DATA", "/data");
    });

    let train = |name, folder: &Path, epochs: u64| {
        job.bundle.container(name, |config| {
            data(config);
            mount_writable(config, folder, "/checkpoints");
            variable(config, "EPOCHS", &epochs.to_string());
        })
    };
    let (killed, whole) = (results("killed"), results("whole"));
    let started = train("train-killed", &killed, 1_000_000);
    started.start();
    let third = until("epoch 3", || Ok(started.logs().contains("epoch 3:").then_some(())));
    third.unwrap_or_else(|wrong| panic!("{wrong}: {}", started.logs()));
    started.kill();
    let epochs = epoch(&killed) + 2;
    assert!(epochs >= 5, "{epochs}");
    let resumed = ended_well(train("train-resumed", &killed, epochs).run());
    assert!(resumed.starts_with(&format!("going on after epoch {}\n", epochs - 2)), "{resumed}");
    ended_well(train("train-whole", &whole, epochs).run());
    let checkpoint = |folder: &Path| fs::read(folder.join("model.safetensors")).unwrap();
    assert_eq!(epoch(&whole), epochs);
    assert!(checkpoint(&killed) == checkpoint(&whole), "after {epochs} epochs");
}

fn ended_well(output: Output) -> String {
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

/// How many epochs a checkpoint has behind it. The format: eight bytes of length, and a header in JSON.
fn epoch(folder: &Path) -> u64 {
    let file = fs::read(folder.join("model.safetensors")).unwrap();
    let length = usize::try_from(u64::from_le_bytes(file[..8].try_into().unwrap())).unwrap();
    let header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let state: Value = serde_json::from_str(header["__metadata__"]["state"].as_str().unwrap()).unwrap();
    state["epoch"].as_u64().unwrap()
}
