//! The environment: the one place that reads it.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::io::{IsTerminal, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use corten_check::lint::Date;
use corten_diagnostic::{Events, Failure, Report};
use corten_flow::dockerfile::GitSsh;
use corten_flow::{
    Asker, AuthFiles, Client, Indexes, Login, Network, Passage, Seen, Store, Teller, Watcher, World, netrc,
};

use crate::args::{Format, Global};
use crate::render::progress::{Loudness, listener};
use crate::user::User;

/// What no proxy is asked for, as Go's programs have it: this machine.
const OWN: [&str; 3] = ["localhost", "127.0.0.0/8", "::1/128"];
/// Bytes of a file of certificates.
const LONGEST_CERTIFICATES: u64 = 4 << 20;

/// Where systems keep the authorities that they trust, in one file.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// How a certificate begins in PEM.
const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// What a command works with, owned.
pub struct Surroundings {
    store: Store,
    client: Client,
    indexes: Indexes,
    auth: AuthFiles,
    user: User,
    passage: Passage,
    git_ssh: GitSsh,
    events: Arc<dyn Events + Send>,
    jobs: usize,
    now: i64,
    source_date_epoch: Option<i64>,
    store_cap: Option<u64>,
}

impl Surroundings {
    /// Reads flags and environment, opens the store.
    pub fn new(global: &Global) -> Result<Self, Report> {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let time = SystemTime::now();
        let now = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let events: Arc<dyn Events + Send> = Arc::from(listener(global.progress, loudness(global), draws()));
        let user = User::read(settings_folder())?;
        Ok(Self {
            store: Store::open(home(global)?)?.marking(time),
            client: Client::new(network(global, &user, &events)?),
            indexes: Indexes::of(env::vars_os().filter_map(text)),
            auth: auth_files(),
            passage: passage(global)?,
            git_ssh: GitSsh { command: variable("GIT_SSH_COMMAND"), program: variable("GIT_SSH") },
            events,
            jobs: global.jobs.map_or(processors, NonZeroUsize::get),
            now: i64::try_from(now).unwrap_or(i64::MAX),
            source_date_epoch: source_date_epoch()?,
            store_cap: global.store_keep.or(user.settings.keep.as_ref().map(|keep| keep.value)),
            user,
        })
    }

    /// What the user says for all projects.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// As flow sees it.
    pub fn world(&self) -> World<'_> {
        World {
            store: &self.store,
            client: &self.client,
            indexes: &self.indexes,
            auth: &self.auth,
            registries: &self.user.registries,
            passage: &self.passage,
            git_ssh: &self.git_ssh,
            events: self.events.as_ref(),
            jobs: self.jobs,
            now: self.now,
            source_date_epoch: self.source_date_epoch,
            store_cap: self.store_cap,
            tool: concat!("corten ", env!("CARGO_PKG_VERSION")),
        }
    }
}

/// What `corten doctor` looks at: a store may be missing or broken.
pub struct Ground {
    /// Where the store is.
    pub home: PathBuf,
    /// Where credentials are.
    pub auth: AuthFiles,
    /// The network.
    pub client: Client,
    /// Where packages come from.
    pub indexes: Indexes,
}

impl Ground {
    /// Reads flags and environment.
    pub fn new(global: &Global) -> Result<Self, Failure> {
        let events: Arc<dyn Events + Send> = Arc::from(listener(global.progress, loudness(global), draws()));
        let settings = Network {
            retries: 0,
            timeout: Duration::from_secs(5),
            ..network(global, &User::read(settings_folder())?, &events)?
        };
        let indexes = Indexes::of(env::vars_os().filter_map(text));
        Ok(Self { home: home(global)?, auth: auth_files(), client: Client::new(settings), indexes })
    }
}

/// What `corten lint` takes from the environment.
pub struct Linting {
    /// Where it runs.
    pub folder: PathBuf,
    /// Today, or the day of `SOURCE_DATE_EPOCH`.
    pub today: Date,
    /// Settings of hadolint that the user has for all projects.
    pub user_config: Option<PathBuf>,
    /// `BUILDKIT_DOCKERFILE_CHECK`.
    pub check: Option<String>,
    /// hadolint's variables.
    pub variables: BTreeMap<String, String>,
}

/// Reads it.
pub fn linting() -> Result<Linting, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = source_date_epoch()?.unwrap_or(i64::try_from(now).unwrap_or(i64::MAX));
    let folder = env::current_dir().map_err(|error| Failure::world(format!("finding the current folder: {error}")))?;
    let home = variable("HOME").map(PathBuf::from);
    let settings = settings_folder().map(|folder| folder.join("hadolint.yaml"));
    let own = home.iter().flat_map(|home| {
        [".hadolint/hadolint.yaml", ".hadolint/config.yaml", ".hadolint.yaml"].map(|name| home.join(name))
    });
    Ok(Linting {
        folder,
        today: Date::of(now),
        user_config: settings.into_iter().chain(own).find(|path| path.is_file()),
        check: variable("BUILDKIT_DOCKERFILE_CHECK"),
        variables: env::vars_os().filter_map(text).filter(|(name, _)| name.starts_with("HADOLINT_")).collect(),
    })
}

/// The format that `HADOLINT_FORMAT` names, where it is one of ours.
pub fn format_of_hadolint() -> Format {
    match variable("HADOLINT_FORMAT").as_deref() {
        Some("json") => Format::Json,
        Some("sarif") => Format::Sarif,
        Some("checkstyle") => Format::Checkstyle,
        Some("codeclimate") => Format::Codeclimate,
        Some("gitlab_codeclimate") => Format::Gitlab,
        Some("junit") => Format::Junit,
        _ => Format::Text,
    }
}

/// How many threads may work.
pub fn jobs(global: &Global) -> usize {
    global.jobs.map_or_else(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get), NonZeroUsize::get)
}

/// Can stderr draw bars? Continuous integration has a terminal at times, but nobody who looks at it.
pub fn draws() -> bool {
    std::io::stderr().is_terminal() && env::var_os("CI").is_none() && env::var("TERM").is_ok_and(|term| term != "dumb")
}

/// A variable that is text.
fn text((name, value): (OsString, OsString)) -> Option<(String, String)> {
    Some((name.into_string().ok()?, value.into_string().ok()?))
}

/// Users by host, from `$NETRC` or `~/.netrc`.
fn logins() -> Vec<Login> {
    let usual = || variable("HOME").map(|home| PathBuf::from(home).join(".netrc"));
    let file = variable("NETRC").map(PathBuf::from).or_else(usual);
    let text = file.and_then(|file| std::fs::read_to_string(file).ok());
    text.map(|text| netrc(&text)).unwrap_or_default()
}

/// Docker's and podman's files, as `corten_flow::AuthFiles` says.
fn auth_files() -> AuthFiles {
    let folder = |name: &str| variable(name).map(PathBuf::from);
    let home = |below: &str| folder("HOME").map(|home| home.join(below));
    let docker = folder("DOCKER_CONFIG").or_else(|| home(".docker")).map(|folder| folder.join("config.json"));
    let podman = [
        folder("REGISTRY_AUTH_FILE"),
        folder("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
        home(".config/containers/auth.json"),
    ];
    let path = env::var_os("PATH").unwrap_or_default();
    AuthFiles {
        own: folder("REGISTRY_AUTH_FILE").or_else(|| docker.clone()),
        files: podman.into_iter().chain([docker]).flatten().collect(),
        path: env::split_paths(&path).filter(|folder| folder.is_absolute()).collect(),
    }
}

/// The keyring program, where uv or pip would call it.
fn asker() -> Option<Asker> {
    let wanted = ["UV_KEYRING_PROVIDER", "PIP_KEYRING_PROVIDER"];
    let wanted = wanted.into_iter().any(|name| variable(name).as_deref() == Some("subprocess"));
    wanted.then(|| Asker(Arc::new(corten_flow::keyring::ask)))
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn home(global: &Global) -> Result<PathBuf, Failure> {
    let folder = |name: &str| variable(name).map(PathBuf::from);
    let data = || folder("XDG_DATA_HOME").or_else(|| Some(folder("HOME")?.join(".local/share")));
    let home = global.home.clone().or_else(|| Some(data()?.join("corten")));
    home.ok_or_else(|| Failure::usage("there is no place for the store: HOME is not set").hint("set CORTEN_HOME"))
}

fn network(global: &Global, user: &User, events: &Arc<dyn Events + Send>) -> Result<Network, Failure> {
    let either = |name: &str| variable(name).or_else(|| variable(&name.to_uppercase()));
    let no_proxy = either("no_proxy").unwrap_or_default();
    let direct = no_proxy.split(',').map(str::trim).filter(|host| !host.is_empty());
    let (events, details) = (Arc::clone(events), Arc::clone(events));
    Ok(Network {
        certificate_authorities: authorities(global)?,
        host_certificates: host_certificates(),
        host_authorities: user.authorities.clone(),
        offline: global.offline,
        timeout: global.http_timeout,
        proxy: either("https_proxy").or_else(|| either("all_proxy")),
        // In capitals it may be a header of a request (CVE-2016-5385).
        plain_proxy: variable("http_proxy").or_else(|| either("all_proxy")),
        no_proxy: direct.chain(OWN).map(str::to_owned).collect(),
        logins: logins(),
        asker: asker(),
        teller: Some(Teller(Arc::new(move |line| events.note(line)))),
        watcher: global.verbose.then(|| watcher(details)),
        ..Network::default()
    })
}

/// Tells each request as a line.
fn watcher(events: Arc<dyn Events + Send>) -> Watcher {
    Watcher(Arc::new(move |seen: Seen<'_>| {
        let answer = seen.status.map_or("no answer".to_owned(), |status| status.to_string());
        let time = seen.time.as_millis();
        events.detail("request", &format!("{} {} → {answer}, {time} ms", seen.method, seen.url));
    }))
}

fn loudness(global: &Global) -> Loudness {
    match (global.quiet, global.verbose) {
        (true, _) => Loudness::Errors,
        (_, true) => Loudness::Details,
        _ => Loudness::Story,
    }
}

fn authorities(global: &Global) -> Result<Vec<u8>, Failure> {
    global.ca_file.as_deref().map_or(Ok(Vec::new()), certificates)
}

/// What commands in sandboxes get: this environment's proxies (as podman does), and where authorities were given, these with
/// those of this machine.
fn passage(global: &Global) -> Result<Passage, Failure> {
    let names = ["http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"];
    let names = names.iter().flat_map(|name| [(*name).to_owned(), name.to_uppercase()]);
    let proxies = names.filter_map(|name| variable(&name).map(|value| (name, value))).collect();
    let given = authorities(global)?;
    if given.is_empty() {
        return Ok(Passage { proxies, authorities: given });
    }
    let own = variable("SSL_CERT_FILE").map(PathBuf::from).into_iter().chain(BUNDLES.map(PathBuf::from));
    let own = own.filter_map(|path| certificates(&path).ok()).next().unwrap_or_default();
    Ok(Passage { proxies, authorities: [own.as_slice(), b"\n", given.as_slice()].concat() })
}

/// A file of certificates, as it is.
pub fn certificates(file: &Path) -> Result<Vec<u8>, Failure> {
    let failed =
        |why: String| Failure::usage(format!("reading the certificate authorities in {}: {why}", file.display()));
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(|error| failed(error.to_string()))?;
    opened.take(LONGEST_CERTIFICATES).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    match bytes.windows(CERTIFICATE.len()).any(|part| part == CERTIFICATE) {
        true => Ok(bytes),
        false => Err(failed("there is no certificate in it".to_owned())
            .hint("it begins with -----BEGIN CERTIFICATE-----; of DER it is made by `openssl x509 -inform der`")),
    }
}

/// Where a user's settings are (XDG Base Directory Specification); a variable that is no absolute path counts for nothing.
fn settings_folder() -> Option<PathBuf> {
    let folder = |name: &str| variable(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")))
}

/// Docker's and podman's folders of certificates of single registries, one's own first.
fn host_certificates() -> Vec<PathBuf> {
    let settings = settings_folder();
    let own =
        ["containers/certs.d", "docker/certs.d"].into_iter().filter_map(|below| Some(settings.as_ref()?.join(below)));
    own.chain(["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from)).collect()
}

/// <https://reproducible-builds.org/specs/source-date-epoch/>
fn source_date_epoch() -> Result<Option<i64>, Failure> {
    let Some(text) = variable("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let seconds = text.parse().ok().filter(|seconds| *seconds >= 0);
    seconds.map(Some).ok_or_else(|| {
        Failure::usage(format!("SOURCE_DATE_EPOCH is '{text}', expected seconds since 1970"))
            .hint("SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)")
    })
}

/// A program of `PATH`; folders of it that are relative count for nothing: they may be somebody else's.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_absolute() && file.is_file())
}
