//! How the service starts: command, user, environment, port, health; as the image config says it.

use std::collections::BTreeMap;
use std::time::Duration;

use corten_frontend::entry::Entry;
use corten_frontend::settings::{Health, HealthSetting, Port, Probe, Settings};
use corten_oci::{ContainerConfig, Healthcheck};

/// Number of the service's user and group: numeric, so that a runtime can see that it is not root.
pub const UID: u64 = 10001;

/// Where the environment lies. One prefix for everybody: only so are wheels' layers shared.
pub const VENV: &str = "opt/venv";

/// One writable folder for every library that caches; `--tmpfs /tmp` is all that a read-only root needs.
const CACHE: &str = "/tmp/cache";

/// Variables that libraries look at before they write somewhere under the home folder.
const CACHES: [(&str, &str); 14] = [
    ("XDG_CACHE_HOME", ""),
    ("HF_HOME", "/huggingface"),
    ("TORCH_HOME", "/torch"),
    ("TORCHINDUCTOR_CACHE_DIR", "/torchinductor"),
    ("TRITON_CACHE_DIR", "/triton"),
    ("CUDA_CACHE_PATH", "/cuda"),
    ("NUMBA_CACHE_DIR", "/numba"),
    ("MPLCONFIGDIR", "/matplotlib"),
    ("SENTENCE_TRANSFORMERS_HOME", "/sentence-transformers"),
    ("TIKTOKEN_CACHE_DIR", "/tiktoken"),
    ("NLTK_DATA", "/nltk"),
    ("KERAS_HOME", "/keras"),
    ("VLLM_CACHE_ROOT", "/vllm"),
    ("JOBLIB_TEMP_FOLDER", "/joblib"),
];

/// The port of a service; none for a job.
pub fn port(settings: &Settings, web: bool) -> Option<u16> {
    match settings.port.value {
        Port::Number(port) => Some(port),
        Port::None => None,
        Port::Auto => web.then_some(Port::USUAL),
    }
}

/// The config of the image, without labels.
pub fn config(settings: &Settings, start: &Entry) -> ContainerConfig {
    let port = port(settings, start.web);
    ContainerConfig {
        user: format!("{UID}:{UID}"),
        exposed_ports: port.map(|port| vec![format!("{port}/tcp")]),
        env: Some(environment(settings, start, port)),
        entrypoint: settings.entrypoint.as_ref().map(|entrypoint| entrypoint.value.clone()),
        cmd: Some(start.command.clone()),
        healthcheck: healthcheck(settings, start, port),
        working_dir: settings.workdir.value.clone(),
        stop_signal: Some("SIGTERM".into()),
        ..ContainerConfig::default()
    }
}

/// Ours first, in a fixed order; what the command needs and the project's own win.
fn environment(settings: &Settings, start: &Entry, port: Option<u16>) -> Vec<String> {
    let mut variables: Vec<(String, String)> = vec![
        ("PATH".into(), format!("/{VENV}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")),
        ("VIRTUAL_ENV".into(), format!("/{VENV}")),
        ("PYTHONPATH".into(), python_path(settings, start)),
        ("PYTHONUNBUFFERED".into(), "1".into()),
        ("PYTHONDONTWRITEBYTECODE".into(), "1".into()),
        ("LANG".into(), "C.UTF-8".into()),
        ("HOME".into(), home(settings)),
    ];
    variables.extend(CACHES.iter().map(|(name, below)| ((*name).into(), format!("{CACHE}{below}"))));
    variables.extend(port.map(|port| ("PORT".into(), port.to_string())));
    let mut own: BTreeMap<&String, &String> = start.env.iter().map(|(name, value)| (name, value)).collect();
    own.extend(settings.env.iter().map(|(name, value)| (name, &value.value)));
    variables.retain(|(name, _)| !own.contains_key(name));
    variables.extend(own.into_iter().map(|(name, value)| (name.clone(), value.clone())));
    variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn python_path(settings: &Settings, start: &Entry) -> String {
    let root = settings.workdir.value.trim_end_matches('/');
    match start.python_path.as_str() {
        "" => settings.workdir.value.clone(),
        below => format!("{root}/{below}"),
    }
}

/// The home folder of the service's user.
pub fn home(settings: &Settings) -> String {
    format!("/home/{}", settings.user.value)
}

fn healthcheck(settings: &Settings, start: &Entry, port: Option<u16>) -> Option<Healthcheck> {
    let usual = |probe| Health { probe, ..Health::default() };
    let health = match (&settings.healthcheck.value, port) {
        (HealthSetting::On(health), _) => health.clone(),
        (HealthSetting::Off, _) | (HealthSetting::Auto, None) => return None,
        (HealthSetting::Auto, Some(_)) => match &start.health_path {
            Some(path) => usual(Probe::Http(path.clone())),
            None => usual(Probe::Connect),
        },
    };
    Some(Healthcheck {
        test: probe(&health.probe, start, port),
        interval: Some(nanoseconds(health.interval)),
        timeout: Some(nanoseconds(health.timeout)),
        start_period: Some(nanoseconds(health.start_period)),
        start_interval: None,
        retries: Some(health.retries),
    })
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The image's Python asks, so that neither shell nor curl is needed.
fn probe(probe: &Probe, start: &Entry, port: Option<u16>) -> Vec<String> {
    let port = asked_port(start, port.unwrap_or(Port::USUAL));
    let program = match probe {
        Probe::Command(command) => return std::iter::once("CMD".to_owned()).chain(command.iter().cloned()).collect(),
        Probe::Http(path) => {
            format!("import os,urllib.request as r;r.urlopen('http://127.0.0.1:'+{port}+{path:?},timeout=5)")
        }
        Probe::Connect => {
            format!("import os,socket;socket.create_connection(('127.0.0.1',int({port})),timeout=5)")
        }
    };
    ["CMD", &format!("/{VENV}/bin/python"), "-I", "-c", &program].map(str::to_owned).to_vec()
}

/// A command that has the port written out listens there whatever `PORT` says when a container starts; any other is
/// believed to read it. As Python.
fn asked_port(start: &Entry, port: u16) -> String {
    let text = port.to_string();
    match start.command.iter().any(|word| word.contains(&text)) {
        true => format!("'{port}'"),
        false => format!("os.environ.get('PORT','{port}')"),
    }
}
