//! Is all there that Corten works with? Files are looked at below a root that is passed in, so that tests can make one up. No
//! password is read further than to say that there is one.
//!
//! | part | what is looked at |
//! |---|---|
//! | kernel | `/proc/sys`, `/proc/filesystems`, `/sys/fs/cgroup`, `/sys/kernel/security/lsm` |
//! | store | its folder: can it be written, is it on a disk that keeps its word, how much is free |
//! | credentials | the files of docker and podman, and the programs that they name |
//! | tools | programs in `PATH`, `binfmt_misc` |
//! | network | the index, Debian's archive, registries of the files of credentials; only when asked for |

use std::fs;
use std::path::Path;

use corten_diagnostic::Diagnose;
use corten_net::{Client, Request};
use corten_store::Store;
use serde_json::Value;

use crate::credentials::AuthFiles;
use crate::indexes::Indexes;

/// Bytes of a file that is looked at.
const LONGEST: usize = 1 << 20;

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it should be.
    Good,
    /// Something does not work, or not as well as it could.
    Warning,
    /// Nothing can be built.
    Bad,
}

impl State {
    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `kernel`, `store` …
    pub part: &'static str,
    /// How well it is.
    pub state: State,
    /// What was found.
    pub what: String,
    /// What does not work because of it.
    pub lost: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Finding {
    fn good(part: &'static str, what: impl Into<String>) -> Self {
        Self { part, state: State::Good, what: what.into(), lost: None, hint: None }
    }

    fn warning(part: &'static str, what: impl Into<String>, lost: &str, hint: &str) -> Self {
        Self { part, state: State::Warning, what: what.into(), lost: Some(lost.into()), hint: Some(hint.into()) }
    }

    fn bad(part: &'static str, what: impl Into<String>, lost: &str, hint: &str) -> Self {
        Self { state: State::Bad, ..Self::warning(part, what, lost, hint) }
    }
}

/// What is looked at.
pub struct Patient<'a> {
    /// Where `proc` and `sys` are: `/`.
    pub root: &'a Path,
    /// The store's folder; it may not be there.
    pub store: &'a Path,
    /// Files of credentials, and `PATH`.
    pub auth: &'a AuthFiles,
    /// Is there a network to be asked?
    pub client: Option<&'a Client>,
    /// Package indexes.
    pub indexes: &'a Indexes,
}

/// Looks at everything.
pub fn examine(patient: &Patient<'_>) -> Vec<Finding> {
    let mut all = kernel(patient.root);
    all.extend(store(patient.store));
    all.extend(credentials(patient.auth));
    all.extend(tools(patient));
    all.extend(patient.client.map(|client| network(client, patient)).unwrap_or_default());
    all
}

/// The text of a small file; empty where there is none.
fn text(path: &Path) -> String {
    let mut bytes = fs::read(path).unwrap_or_default();
    bytes.truncate(LONGEST);
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

const SANDBOX: &str = "packages without a wheel cannot be built from their source; all that has wheels can";

fn kernel(root: &Path) -> Vec<Finding> {
    const PART: &str = "kernel";
    let at = |path: &str| text(&root.join(path));
    let mut all = Vec::new();
    let most: u64 = at("proc/sys/user/max_user_namespaces").parse().unwrap_or(0);
    let forbidden = at("proc/sys/kernel/unprivileged_userns_clone") == "0"
        || at("proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1";
    all.push(match (most, forbidden) {
        (0, _) => {
            Finding::warning(PART, "no user namespaces", SANDBOX, "sysctl user.max_user_namespaces=15000")
        }
        (_, true) => Finding::warning(
            PART,
            "user namespaces are for root alone",
            SANDBOX,
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or kernel.unprivileged_userns_clone=1 on older Debian",
        ),
        _ => Finding::good(PART, "user namespaces"),
    });
    all.push(match at("proc/sys/kernel/seccomp/actions_avail").contains("errno") {
        true => Finding::good(PART, "seccomp filters"),
        false => Finding::warning(PART, "no seccomp filters", SANDBOX, "a kernel with CONFIG_SECCOMP_FILTER"),
    });
    let controllers = at("sys/fs/cgroup/cgroup.controllers");
    all.push(match controllers.contains("memory") && controllers.contains("pids") {
        true => Finding::good(PART, "cgroups of version 2"),
        false => Finding::warning(
            PART,
            "no cgroups of version 2",
            "memory and processes of a build from source are limited one by one, and watched together",
            "systemd.unified_cgroup_hierarchy=1 on the kernel's command line",
        ),
    });
    let optional = |there: bool, what: &str| {
        Finding::good(PART, if there { what.to_owned() } else { format!("no {what}: not needed") })
    };
    all.push(optional(at("proc/filesystems").lines().any(|line| line.ends_with("overlay")), "overlayfs"));
    all.push(optional(at("sys/kernel/security/lsm").split(',').any(|name| name == "landlock"), "Landlock"));
    all
}

fn store(folder: &Path) -> Vec<Finding> {
    const PART: &str = "store";
    let store = match Store::open(folder) {
        Ok(store) => store,
        Err(error) => {
            let hint = error.hints().into_iter().next().unwrap_or_else(|| "set CORTEN_HOME to another folder".into());
            return vec![Finding::bad(PART, error.to_string(), "nothing can be built, pulled or looked at", &hint)];
        }
    };
    let mut all = vec![match store.scratch_folder() {
        Ok(_) => Finding::good(PART, folder.display().to_string()),
        Err(error) => {
            let hint = error.hints().into_iter().next().unwrap_or_else(|| "set CORTEN_HOME to another folder".into());
            Finding::warning(PART, error.to_string(), "nothing can be built or pulled: reading works", &hint)
        }
    }];
    all.extend(store.ground().warning().map(|said| {
        let hint = "set CORTEN_HOME to a folder on a disk of this machine";
        Finding::warning(PART, said, "two programs at once, a stop or a power cut can lose what was built", hint)
    }));
    let free = store.room();
    let said = format!("{:.1} GB free", free as f64 / 1e9);
    all.push(match free {
        0..200_000_000 => Finding::bad(PART, said, "no image fits", "free some space, or set CORTEN_HOME"),
        200_000_000..5_000_000_000 => {
            Finding::warning(PART, said, "images with CUDA do not fit", "`corten prune`, or set CORTEN_HOME")
        }
        _ => Finding::good(PART, said),
    });
    all
}

fn credentials(auth: &AuthFiles) -> Vec<Finding> {
    const PART: &str = "credentials";
    const LOST: &str = "registries that want a password cannot be reached";
    let mut all = Vec::new();
    for file in auth.files.iter().filter(|file| file.exists()) {
        let place = file.display();
        let Ok(Value::Object(found)) = serde_json::from_str::<Value>(&text(file)) else {
            all.push(Finding::warning(
                PART,
                format!("{place} is no JSON"),
                LOST,
                "mend it, or remove it and log in anew",
            ));
            continue;
        };
        let hosts = found.get("auths").and_then(Value::as_object).map_or(0, serde_json::Map::len);
        all.push(Finding::good(PART, format!("{place}: {hosts} registries")));
        let open = fs::metadata(file).is_ok_and(|about| {
            use std::os::unix::fs::PermissionsExt;
            about.permissions().mode() & 0o077 != 0
        });
        if open && hosts > 0 {
            let hint = format!("chmod 600 {place}");
            all.push(Finding::warning(
                PART,
                format!("{place} can be read by others"),
                "passwords in it are not secret",
                &hint,
            ));
        }
        for helper in helpers(&found) {
            let program = format!("docker-credential-{helper}");
            all.push(match auth.path.iter().any(|folder| folder.join(&program).is_file()) {
                true => Finding::good(PART, program),
                false => Finding::warning(
                    PART,
                    format!("{program}, which {place} names, is not installed"),
                    LOST,
                    "install it, or take credsStore and credHelpers out",
                ),
            });
        }
    }
    if all.is_empty() {
        all.push(Finding::good(PART, "none: `corten login HOST` keeps some"));
    }
    all
}

/// Names of programs, as far as they are such.
fn helpers(settings: &serde_json::Map<String, Value>) -> Vec<String> {
    let single = settings.get("credHelpers").and_then(Value::as_object).into_iter().flat_map(|all| all.values());
    let named = single.chain(settings.get("credsStore")).filter_map(Value::as_str);
    let plain = |name: &&str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let mut names: Vec<String> = named.filter(plain).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

fn tools(patient: &Patient<'_>) -> Vec<Finding> {
    const PART: &str = "tools";
    let find = |name: &str| patient.auth.path.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    let optional = |name: &str, lost: &str| match find(name) {
        Some(path) => Finding::good(PART, path.display().to_string()),
        None => Finding::warning(PART, format!("{name} is not installed"), lost, &format!("install {name}")),
    };
    let mut all = vec![
        optional("git", "tags and labels by commit; packages that are commits of repositories"),
        optional("uv", "`corten lock` of a project without a lock"),
    ];
    all.push(match find("docker").or_else(|| find("podman")) {
        Some(path) => Finding::good(PART, path.display().to_string()),
        None => Finding::good(PART, "neither docker nor podman: needed for `--load` alone"),
    });
    let foreign = if cfg!(target_arch = "aarch64") { "qemu-x86_64" } else { "qemu-aarch64" };
    let emulated = patient.root.join("proc/sys/fs/binfmt_misc").join(foreign).exists();
    all.push(Finding::good(
        PART,
        if emulated {
            format!("{foreign} for other machines' programs")
        } else {
            format!("no {foreign}: not needed to build for other machines")
        },
    ));
    let driver = text(&patient.root.join("proc/driver/nvidia/version"));
    let version = driver
        .split_whitespace()
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.'));
    all.push(Finding::good(
        PART,
        version
            .map_or("no NVIDIA driver: not needed to build".to_owned(), |version| format!("NVIDIA driver {version}")),
    ));
    all
}

fn network(client: &Client, patient: &Patient<'_>) -> Vec<Finding> {
    const PART: &str = "network";
    let registries = patient.auth.files.iter().flat_map(|file| registries(file.as_path()));
    let indexes = patient.indexes.addresses(client).into_iter().map(|url| page_of(&url));
    let mut places: Vec<(String, Asked)> = indexes.map(|place| (place, Asked::Index)).collect();
    places.push(("https://deb.debian.org/debian/dists/bookworm/InRelease".to_owned(), Asked::Archive));
    places.extend(registries.map(|host| (api(&host, client), Asked::Registry)));
    places.dedup();
    let ask = |(place, asked): &(String, Asked)| {
        let lost = match asked {
            Asked::Index | Asked::Archive => "what is not in the store cannot be fetched",
            Asked::Registry => "nothing can be pulled from there or pushed to it",
        };
        let hint = "https_proxy, --ca-file and mirrors in the settings; --offline builds from the store alone";
        match client.send(&Request::head(place)) {
            Ok(_) => Finding::good(PART, client.know(place)),
            Err(corten_net::NetError::Status { status: 401 | 403, .. }) if *asked == Asked::Index => {
                let said = format!("{} wants another user or password", client.know(place));
                let hint =
                    "UV_INDEX_<NAME>_USERNAME and UV_INDEX_<NAME>_PASSWORD, a login in the index's address, or .netrc";
                Finding::warning(PART, said, lost, hint)
            }
            // A registry that wants to know who asks is there, and so is an index without this package.
            Err(corten_net::NetError::Status { .. }) => Finding::good(PART, client.know(place)),
            Err(error) => Finding::warning(PART, error.to_string(), lost, hint),
        }
    };
    places.iter().map(ask).collect()
}

/// Who is asked whether he is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Index,
    Archive,
    Registry,
}

/// One small page of an index: the list of all projects is large.
fn page_of(index: &str) -> String {
    format!("{}/pip/", index.trim_end_matches('/'))
}

/// Where a registry answers; one on this machine may do without TLS.
fn api(host: &str, client: &Client) -> String {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let loopback = matches!(name, "localhost" | "[::1]") || name.starts_with("127.");
    let secure = format!("https://{host}/v2/");
    let plain = loopback && corten_net::Url::parse(&secure).is_ok_and(|url| !client.speaks_tls(&url));
    if plain { format!("http://{host}/v2/") } else { secure }
}

/// Hosts that a file of credentials names.
fn registries(file: &Path) -> Vec<String> {
    let Ok(found) = serde_json::from_str::<Value>(&text(file)) else { return Vec::new() };
    let keys = ["auths", "credHelpers"].into_iter().filter_map(|list| found.get(list)?.as_object());
    let host = |key: &String| {
        let key = key.trim_start_matches("https://").trim_start_matches("http://");
        let host = key.split('/').next().unwrap_or_default();
        if host == "index.docker.io" { "registry-1.docker.io".to_owned() } else { host.to_owned() }
    };
    keys.flat_map(|list| list.keys().map(host).collect::<Vec<_>>()).filter(|host| !host.is_empty()).collect()
}
