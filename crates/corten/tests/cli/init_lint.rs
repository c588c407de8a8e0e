//! What `corten init` writes has no finding of `corten lint`, whatever the project is for.

use std::fs;
use std::path::Path;

use crate::service::corten;

const SERVES: &str =
    "from fastapi import FastAPI\napp = FastAPI()\n@app.get('/health')\ndef health():\n    return {}\n";
const JOB: &str = "if __name__ == '__main__':\n    pass\n";
const LEARNS: &str = "from torch.utils.data import DataLoader\nif __name__ == '__main__':\n    loss.backward()\n    save('checkpoints/last.pt', open('data'))\n";
const TOOL: &str = "[project]\nname = \"tool\"\nversion = \"1.0.0\"\nrequires-python = \">=3.11\"\ndependencies = [\"click==8.1.7\"]\n[project.scripts]\ntool = \"tool:main\"\n";

/// Workload, requirements, the started file and its text.
const PROJECTS: [(&str, &str, &str, &str); 6] = [
    ("API", "fastapi==0.115.0\nuvicorn==0.34.0\nredis==5.2.0\npsycopg==3.2.3\n", "app.py", SERVES),
    ("CPU inference", "fastapi==0.115.0\nuvicorn==0.34.0\nonnxruntime==1.20.0\n", "app.py", SERVES),
    ("GPU inference", "fastapi==0.115.0\nuvicorn==0.34.0\nvllm==0.6.0\ntorch==2.5.0\n", "app.py", SERVES),
    ("GPU training", "torch==2.5.0\nnvidia-cublas-cu12==12.4.5.8\n", "train.py", LEARNS),
    ("batch job", "pandas==2.2.3\n", "main.py", JOB),
    ("command line program", "click==8.1.7\n", "tool.py", "def main():\n    pass\n"),
];

/// Puts in what is told where no registry can be asked: the digest of each image.
fn pin(path: &Path) {
    let digest = format!("@sha256:{}", "1".repeat(64));
    let pinned = |line: &str| match line.trim_start().starts_with("FROM ") || line.ends_with("-alpine") {
        true => match line.split_once(" AS ") {
            Some((image, name)) => format!("{image}{digest} AS {name}\n"),
            None => format!("{line}{digest}\n"),
        },
        false => format!("{line}\n"),
    };
    let text: String = fs::read_to_string(path).unwrap().lines().map(pinned).collect();
    fs::write(path, text).unwrap();
}

#[test]
fn what_init_writes_has_no_finding() {
    for (workload, requirements, name, source) in PROJECTS {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("requirements.txt", requirements);
        write(name, source);
        match name == "tool.py" {
            true => write("pyproject.toml", TOOL),
            // Debian packages of both kinds, and weights.
            false => write(
                "corten.toml",
                "name = \"it\"\nversion = \"1.0.0\"\npackages = [\"ffmpeg\"]\nbuild-packages = [\"gcc\"]\n",
            ),
        }
        fs::create_dir(folder.path().join("weights")).unwrap();
        write("weights/model.onnx", &"x".repeat(300_000));
        let corten = corten();
        let ran = corten.run(folder.path(), ["init", "--dockerfile", "--compose", "--offline"]).expect(0);
        assert!(ran.stderr.contains(&format!("workload  {workload}  ")), "{workload}: {}", ran.stderr);
        ["Dockerfile", "compose.yaml"].into_iter().for_each(|name| pin(&folder.path().join(name)));
        let ran = corten.run(folder.path(), ["lint", "."]);
        assert_eq!((ran.status, ran.stdout.as_str()), (0, "no findings in 2 files\n"), "{workload}: {}", ran.stderr);
        // It does look at them.
        let dockerfile = fs::read_to_string(folder.path().join("Dockerfile")).unwrap();
        write("Dockerfile", &dockerfile.replace("USER ", "# USER "));
        corten.run(folder.path(), ["lint", "."]).expect(1);
    }
}
