//! compose.yaml: the image beside what it talks to, on one machine.
//!
//! Strings of the project are written as JSON, which YAML reads, with `$` doubled: compose would put variables in.

use super::{Image, comment, quoted};
use crate::init::workload::Workload;

/// A server that a project talks to.
struct Server {
    name: &'static str,
    /// Packages by which it is known.
    packages: &'static [&'static str],
    image: &'static str,
    /// The variable that most clients read, and what it is here.
    variable: (&'static str, &'static str),
    /// Further lines of its service.
    lines: &'static str,
    volume: (&'static str, &'static str),
}

const SERVERS: [Server; 2] = [
    Server {
        name: "redis",
        packages: &["redis", "rq", "arq", "aioredis", "fastapi-cache2", "redis-om"],
        image: "redis:8-alpine",
        variable: ("REDIS_URL", "redis://redis:6379/0"),
        lines: "    healthcheck:\n      test: [\"CMD\", \"redis-cli\", \"ping\"]\n      interval: 5s\n      timeout: 3s\n      retries: 10\n",
        volume: ("redis-data", "/data"),
    },
    Server {
        name: "postgres",
        packages: &["psycopg", "psycopg2", "psycopg2-binary", "psycopg-binary", "asyncpg", "pg8000", "pgvector"],
        image: "postgres:17-alpine",
        variable: ("DATABASE_URL", "postgresql://app:${POSTGRES_PASSWORD}@postgres:5432/app"),
        lines: "    environment:\n      POSTGRES_USER: app\n      POSTGRES_DB: app\n      POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:?set it in the environment or in .env, which no image takes in}\n    healthcheck:\n      test: [\"CMD\", \"pg_isready\", \"--username\", \"app\"]\n      interval: 5s\n      timeout: 3s\n      retries: 10\n",
        volume: ("postgres-data", "/var/lib/postgresql/data"),
    },
];

/// The whole file.
pub fn text(image: &Image<'_>) -> String {
    let servers: Vec<&Server> = SERVERS.iter().filter(|server| image.has(server.packages)).collect();
    let mut text = String::new();
    comment(&mut text, "Written by `corten init --compose`: for one machine. `docker compose up`.");
    comment(&mut text, "Ports are this machine's own: 127.0.0.1. No port of a database is published.");
    text.push_str(&format!("name: {}\nservices:\n", quoted(&image.settings().name.value.replace('.', "-"))));
    app(image, &servers, &mut text);
    for server in &servers {
        text.push_str(&format!("  {}:\n    image: {}\n", server.name, pinned(image, server.image)));
        text.push_str("    restart: unless-stopped\n");
        text.push_str(server.lines);
        text.push_str(&format!("    volumes:\n      - {}:{}\n", server.volume.0, server.volume.1));
    }
    if !servers.is_empty() {
        text.push_str("volumes:\n");
        servers.iter().for_each(|server| text.push_str(&format!("  {}: {{}}\n", server.volume.0)));
    }
    text
}

fn pinned(image: &Image<'_>, name: &str) -> String {
    (image.source.pins)(name).map_or_else(|| name.to_owned(), |digest| format!("{name}@{digest}"))
}

fn app(image: &Image<'_>, servers: &[&Server], text: &mut String) {
    let settings = image.settings();
    let version = settings.version.as_ref().map_or("latest", |version| version.value.as_str());
    let tag: String =
        version.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect();
    text.push_str("  app:\n");
    match image.source.has_dockerfile {
        true => text.push_str("    build: .\n"),
        false => text.push_str("    # `corten build --load` makes it; there is no Dockerfile.\n"),
    }
    text.push_str(&format!("    image: {}\n", quoted(&format!("{}:{tag}", settings.name.value))));
    text.push_str("    init: true\n    cap_drop: [ALL]\n    security_opt: [\"no-new-privileges:true\"]\n");
    if image.start.web {
        text.push_str("    read_only: true\n    tmpfs: [/tmp]\n    restart: unless-stopped\n");
    }
    if let Some(port) = image.port() {
        text.push_str(&format!("    ports:\n      - \"127.0.0.1:{port}:{port}\"\n"));
    }
    if !servers.is_empty() {
        text.push_str("    environment:\n");
        for server in servers {
            text.push_str(&format!("      {}: {}\n", server.variable.0, server.variable.1));
        }
        text.push_str("    depends_on:\n");
        for server in servers {
            text.push_str(&format!("      {}:\n        condition: service_healthy\n", server.name));
        }
    }
    folders(image, text);
    memory(image, text);
    if image.source.guess.workload.uses_gpu() {
        comment_in(text, "All GPUs of the machine; device_ids: [\"0\"] in place of count gives one.");
        text.push_str(
            "    deploy:\n      resources:\n        reservations:\n          devices:\n            - driver: nvidia\n              \
             count: all\n              capabilities: [gpu]\n",
        );
    }
}

fn comment_in(text: &mut String, words: &str) {
    text.push_str(&format!("    # {words}\n"));
}

/// DataLoader's workers pass batches through /dev/shm, several GPUs their buffers; a container has 64 MB of it.
fn memory(image: &Image<'_>, text: &mut String) {
    let loads = image.shown().sources.iter().any(|(_, text)| text.contains("DataLoader("));
    let workload = image.source.guess.workload;
    let why = match loads || workload == Workload::GpuTraining {
        true => "Workers of a DataLoader pass batches through /dev/shm, 64 MB if nothing is said: then a bus error.",
        false if workload.uses_gpu() => {
            "Several GPUs (NCCL) pass buffers through /dev/shm, 64 MB if nothing is said: then a bus error."
        }
        false => return,
    };
    comment_in(text, why);
    text.push_str("    shm_size: 8gb\n");
}

/// Folders that jobs read from and write to.
const READ: [&str; 3] = ["data", "datasets", "input"];
const WRITTEN: [&str; 7] = ["checkpoints", "outputs", "output", "out", "results", "runs", "mlruns"];

/// Of a job, the folders that its source names.
fn folders(image: &Image<'_>, text: &mut String) {
    if image.start.web {
        return;
    }
    let sources = &image.shown().sources;
    let named = |folder: &&&str| {
        let quoted = [format!("\"{folder}\""), format!("'{folder}'"), format!("\"{folder}/"), format!("'{folder}/")];
        let exact = |text: &String| quoted.iter().any(|quoted| text.contains(quoted.as_str()));
        sources.iter().any(|(_, text)| exact(text))
    };
    let workdir = image.config.working_dir.trim_end_matches('/');
    let line = |folder: &str, mode: &str| {
        format!("      - {}\n", quoted(&format!("./{folder}:{workdir}/{folder}{mode}").replace('$', "$$")))
    };
    let mut lines: Vec<String> = READ.iter().filter(named).map(|folder| line(folder, ":ro")).collect();
    let written: Vec<&&str> = WRITTEN.iter().filter(named).collect();
    lines.extend(written.iter().map(|folder| line(folder, "")));
    if lines.is_empty() {
        return;
    }
    if let Some(first) = written.first() {
        comment_in(text, &format!("User 10001 writes: `mkdir -p {first} && sudo chown 10001 {first}`, once."));
    }
    text.push_str("    volumes:\n");
    lines.iter().for_each(|line| text.push_str(line));
}
