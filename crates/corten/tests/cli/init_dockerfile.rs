//! `corten init --dockerfile --compose`: what it writes starts what the native image starts.

use serde_json::{Value, json};

use crate::init::plain;
use crate::service::Service;

/// What the Dockerfile of a folder says, without its comments.
fn instructions(service: &Service) -> String {
    let text = service.read("Dockerfile");
    text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

/// Corten's own reader finds no mistake in it.
fn is_read(service: &Service) {
    service.run("build --call check -f Dockerfile .").expect(0);
}

#[test]
fn a_dockerfile_starts_what_the_native_image_starts() {
    let service = plain();
    let ran = service.run("init --dockerfile --compose --offline").expect(0);
    assert_eq!(
        ran.stdout,
        "wrote  pyproject.toml\nwrote  Dockerfile\nwrote  .dockerignore\nwrote  compose.yaml\nnext   corten plan\nnext   corten build -f Dockerfile .\n"
    );
    assert!(ran.stderr.contains("workload  API  (sure: it listens)"), "{}", ran.stderr);
    is_read(&service);
    let text = instructions(&service);
    let built = service.digest("build");
    let config = service.run(&format!("inspect {built} --format json")).expect(0).json();
    let config = &config["image"]["config"];
    let json = |words: &Value| {
        let words: Vec<String> = words.as_array().unwrap().iter().map(|word| word.to_string()).collect();
        format!("[{}]", words.join(", "))
    };
    for line in [
        "FROM python:3.11-slim-bookworm AS build\n".to_owned(),
        "    uv sync --locked --no-dev --no-editable --no-install-project\n".to_owned(),
        "COPY --from=build /opt/venv /opt/venv\n".to_owned(),
        format!("USER {}\n", config["user"].as_str().unwrap()),
        "EXPOSE 8000\n".to_owned(),
        format!("CMD {}\n", json(&config["cmd"])),
        format!("    CMD {}\n", json(&json!(config["healthcheck"]["test"].as_array().unwrap()[1..]))),
    ] {
        assert!(text.contains(&line), "{line}\n{text}");
    }
    for variable in config["env"].as_array().unwrap() {
        assert!(text.contains(variable.as_str().unwrap()), "{variable}: {text}");
    }
    let compose = service.read("compose.yaml");
    assert!(compose.contains("    build: .\n    image: \"service:1.3.0\"\n"), "{compose}");
    assert!(compose.contains("      - \"127.0.0.1:8000:8000\"\n"), "{compose}");
    assert!(!compose.contains("redis") && !compose.contains("nvidia") && !compose.contains("version:"), "{compose}");
    let ignored = service.read(".dockerignore");
    for pattern in ["**/.env", "**/.git", "**/.venv", "**/__pycache__", "wandb", "**/mlruns", "checkpoints"] {
        assert!(ignored.contains(&format!("\n{pattern}\n")), "{ignored}");
    }
    // The settings still decide how the folder is built, and again there is nothing to write.
    assert!(service.run("build").expect(0).stderr.contains("native: layers from the lock"));
    let again = service.run("init --dockerfile --compose --offline").expect(0);
    assert_eq!(again.stdout, "nothing to write: what the folder shows stands there already\n");
}

#[test]
fn files_that_are_there_are_replaced_only_when_somebody_says_so() {
    let service = plain();
    service.write("corten.toml", "port = 9000\npackages = [\"ffmpeg\"]\nbuild-packages = [\"gcc\"]\n");
    service.write("Dockerfile", "FROM scratch\n");
    service.write("docker-compose.yml", "services: {}\n");
    let ran = service.run("init --dockerfile --compose --offline").expect(1);
    assert!(
        ran.stderr.ends_with(
            "error: there already: Dockerfile, docker-compose.yml; nothing was written\nhint: --yes writes what the difference shows; --dry-run only shows it\n"
        ),
        "{}",
        ran.stderr
    );
    assert!(ran.stdout.contains("-FROM scratch\n") && ran.stdout.contains("+USER 10001:10001\n"), "{}", ran.stdout);
    assert_eq!(service.read("Dockerfile"), "FROM scratch\n");
    assert!(!service.folder().join(".dockerignore").exists());

    service.run("init --dockerfile --compose --offline --yes").expect(0);
    let text = instructions(&service);
    assert!(text.contains("EXPOSE 9000\n"), "{text}");
    let asks = |line: &&str| line.contains("CMD ") && line.contains("127.0.0.1") && line.contains("9000");
    assert_eq!(text.lines().filter(asks).count(), 1, "{text}");
    assert_eq!(
        (text.matches("        ffmpeg \\\n").count(), text.matches("        gcc \\\n").count()),
        (1, 1),
        "{text}"
    );
    assert!(service.read("docker-compose.yml").contains("127.0.0.1:9000:9000"));
    assert_eq!(service.read("corten.toml").lines().next(), Some("port = 9000"), "settings stay");
    is_read(&service);
}

#[test]
fn weights_have_a_layer_apart_from_the_code_in_a_dockerfile_too() {
    let service = plain();
    service.write("weights/model.onnx", vec![0; 300_000]);
    service.run("init --dockerfile --offline").expect(0);
    let text = instructions(&service);
    assert!(text.contains("COPY weights/*.onnx weights/\nCOPY --exclude=weights/*.onnx . .\n"), "{text}");
    is_read(&service);
}

/// A training job: GPU, shared memory, folders, and no port.
#[test]
fn a_training_job_gets_a_gpu_and_shared_memory() {
    let service = plain();
    service.remove("uv.lock");
    service.remove("app.py");
    service.write("pyproject.toml", "[project]\nname = \"trainer\"\nversion = \"0.2.0\"\nrequires-python = \">=3.12\"\ndependencies = [\"torch\", \"redis\", \"psycopg[binary]\"]\n");
    service.write(
        "train.py",
        "import os\nfrom torch.utils.data import DataLoader\nif __name__ == '__main__':\n    loss.backward()\n    save('checkpoints/last.pt', open('data'))\n",
    );
    let ran = service.run("init --dockerfile --compose --offline").expect(0);
    assert!(
        ran.stderr.contains("workload  GPU training  (a guess: train.py has .backward, and torch is for GPUs)"),
        "{}",
        ran.stderr
    );
    is_read(&service);
    let text = instructions(&service);
    assert!(text.contains("FROM python:3.13-slim-trixie AS build\n") && !text.contains("nvidia/cuda"), "{text}");
    assert!(text.contains("NVIDIA_DRIVER_CAPABILITIES=compute,utility"), "{text}");
    assert!(!text.contains("EXPOSE") && !text.contains("HEALTHCHECK"), "{text}");
    assert!(
        service
            .read("Dockerfile")
            .contains("# The base: The wheels bring CUDA and cuDNN; a base of nvidia/cuda would hold both twice."),
        "{}",
        service.read("Dockerfile")
    );
    let compose = service.read("compose.yaml");
    for line in [
        "    shm_size: 8gb\n",
        "              capabilities: [gpu]\n",
        "      - \"./data:/app/data:ro\"\n",
        "      - \"./checkpoints:/app/checkpoints\"\n",
        "      REDIS_URL: redis://redis:6379/0\n",
        "  postgres:\n    image: postgres:17-alpine\n",
        "      POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:?",
        "        condition: service_healthy\n",
    ] {
        assert!(compose.contains(line), "{line}\n{compose}");
    }
    assert!(!compose.contains("ports:"), "{compose}");
}

#[test]
fn what_no_dockerfile_can_install_or_start_is_refused() {
    let service = plain();
    service.write("app.py", "x = 1\n");
    service.write("two.py", "x = 1\n");
    service.remove("app.py");
    let ran = service.run("init --dockerfile --offline").expect(1);
    assert!(
        ran.stderr.contains("error: no Dockerfile and no compose.yaml can be written: cannot find how"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("hint: `run` in the settings says what is started"), "{}", ran.stderr);
    assert!(!service.folder().join("Dockerfile").exists());
    let service = plain();
    ["pyproject.toml", "uv.lock", "app.py"].into_iter().for_each(|name| service.remove(name));
    service.write("main.py", "if __name__ == '__main__':\n    pass\n");
    service.write("environment.yml", "dependencies:\n  - python=3.11\n  - numpy\n");
    let ran = service.run("init --dockerfile --offline").expect(1);
    assert!(ran.stderr.contains("error: no Dockerfile can be written"), "{}", ran.stderr);
}
