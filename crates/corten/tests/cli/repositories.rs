//! Packages that are locked as a commit of a repository, served over HTTP as a folder (git's "dumb" protocol).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use corten_testkit::archive::FileServer;
use serde_json::json;

use crate::sandbox::{building, project};
use crate::service::{Service, digest, wheels};
use crate::told::refuses;

const STATIC: [(&str, &str); 2] = [
    (
        "pyproject.toml",
        "[build-system]\nrequires = [\"flit_core\"]\nbuild-backend = \"flit_core.buildapi\"\n[project]\nname = \"tensor\"\nversion = \"2.0\"\ndescription = \"d\"\n",
    ),
    ("tensor.py", "\"\"\"Of a commit.\"\"\"\n"),
];

/// A repository that is served.
struct Repository {
    server: FileServer,
    commit: String,
}

impl Repository {
    /// With one commit of these files in a folder, and what `more` does there.
    fn new(folder: &str, files: &[(&str, &str)], more: impl Fn(&Path)) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let tree = temporary.path().join("tree");
        for (path, text) in files {
            let path = tree.join(folder).join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        git(&tree, &["init", "-q"]);
        more(&tree);
        git(&tree, &["add", "-A"]);
        git(&tree, &["commit", "-qm", "one"]);
        let commit = git(&tree, &["rev-parse", "HEAD"]).trim().to_owned();
        git(temporary.path(), &["clone", "-q", "--bare", "tree", "tensor.git"]);
        git(&temporary.path().join("tensor.git"), &["update-server-info"]);
        let served = temporary.path().join("served");
        fs::create_dir(&served).unwrap();
        fs::rename(temporary.path().join("tensor.git"), served.join("tensor.git")).unwrap();
        Self { server: FileServer::of_folder(&served), commit }
    }

    fn url(&self) -> String {
        self.server.url("/tensor.git")
    }

    /// Locks its commit for tensor, as uv does.
    fn lock(&self, service: &Service, query: &str) {
        lock(service, &format!("{}?rev=main{query}#{}", self.url(), self.commit));
    }
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.arg("-C").arg(folder).args(["-c", "user.name=a", "-c", "user.email=a@example.org"]).args(arguments);
    git.env("GIT_COMMITTER_DATE", "2026-11-21T10:00:00Z").env("GIT_AUTHOR_DATE", "2026-11-21T10:00:00Z");
    let output = git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null").output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Locks tensor to a repository, a commit of it behind `#`.
fn lock(service: &Service, source: &str) {
    lock_as(service, &format!("source = {{ git = \"{source}\" }}"));
}

/// Locks tensor with these lines.
pub fn lock_as(service: &Service, lines: &str) {
    let text = service.lock_of(&wheels());
    let begin = text.find("name = \"tensor\"\nversion").unwrap();
    let (before, rest) = text.split_at(begin);
    let (_, after) = rest.split_once("\n\n").unwrap();
    let entry = format!("name = \"tensor\"\nversion = \"2.0\"\n{lines}\n\n");
    service.write("uv.lock", format!("{before}{entry}{after}"));
}

#[test]
fn a_static_project_of_a_commit_is_installed_without_running_it() {
    let repository = Repository::new("", &STATIC, |_| {});
    let service = Service::filled();
    repository.lock(&service, "");
    let plan = service.run("plan --format json").expect(0).json();
    let tensor = &plan["packages"][1];
    assert_eq!((&tensor["name"], &tensor["file"]), (&json!("tensor"), &json!("tensor-2.0-py2.py3-none-any.whl")));
    let source = tensor["source"].as_str().unwrap();
    let expected = format!("from tensor-{}.tar.gz", repository.commit);
    assert!(source.starts_with("computed as flit-core ") && source.contains(&expected), "{source}");
    let first = digest(&service.run("ship --format json"));
    let asked = repository.server.server().asked().len();
    assert_eq!(first, digest(&service.run("ship --format json --no-cache --locked")), "and again");
    assert_eq!(repository.server.server().asked().len(), asked, "fetched once");
    let bill = service.run(&format!("sbom {first}")).expect(0).json();
    let packages = bill["packages"].as_array().unwrap();
    let tensor = packages.iter().find(|package| package["name"] == "tensor").unwrap();
    let expected = format!("git+{}@{}", repository.url(), repository.commit);
    assert_eq!(tensor["downloadLocation"], expected, "{tensor}");
}

#[test]
fn the_same_commit_gives_the_same_bytes_elsewhere() {
    let one = Repository::new("", &STATIC, |_| {});
    let other = Repository::new("", &STATIC, |_| {});
    assert_eq!(one.commit, other.commit);
    let source = |repository: &Repository| {
        let service = Service::filled();
        repository.lock(&service, "");
        let plan = service.run("plan --format json").expect(0).json();
        plan["packages"][1]["source"].as_str().unwrap().to_owned()
    };
    assert_eq!(source(&one), source(&other));
}

#[test]
fn a_commit_whose_backend_has_to_run_is_built_in_the_sandbox() {
    let body = "return wheel(folder, os.environ['SETUPTOOLS_SCM_PRETEND_VERSION'] + str(os.path.exists('.git')))";
    let Some(service) = building(body) else { return };
    let files = project(body);
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let repository = Repository::new("packages/tensor", &files, |tree| {
        fs::write(tree.join("outside"), "x").unwrap();
        fs::write(tree.join("packages/tensor/.gitattributes"), "* export-ignore filter=evil\n").unwrap();
    });
    repository.lock(&service, "&subdirectory=packages/tensor");
    assert_eq!(crate::sandbox::made(&service), "'2.0False'");
    // The store loses it, and has it back.
    let blobs = service.corten.store().join("blobs/sha256");
    for blob in fs::read_dir(blobs).unwrap() {
        fs::remove_file(blob.unwrap().path()).unwrap();
    }
    let ran = service.run("plan");
    ran.expect(0);
}

const PLACE: &str = "  --> ./uv.lock:12:8\n   |\n12 | name = \"tensor\"\n   |        ^^^^^^^^\n";

#[test]
fn what_is_no_commit_or_no_repository_is_refused() {
    const COMMIT: &str = "0123456789012345678901234567890123456789";
    const SPOKEN: &str = "only repositories at https, http and ssh URLs are fetched";
    const ODD: &str = "its URL has characters that no repository's has";
    for (url, query, why) in [
        ("file:///etc", "", SPOKEN),
        ("ext::sh -c evil", "", SPOKEN),
        ("/etc", "", SPOKEN),
        ("ssh://-oProxyCommand=evil/x", "", ODD),
        ("https://--upload-pack=evil/x", "", ODD),
        ("https://h.example/a b", "", ODD),
        ("https://h.example/x", "subdirectory=../y", "its folder does not lie in the repository"),
    ] {
        let service = Service::filled();
        lock(&service, &format!("{url}?{query}#{COMMIT}"));
        let folder = query.split_once('=').map_or(String::new(), |(_, folder)| format!("#subdirectory={folder}"));
        let expected = format!(
            "error: fetching {url}@{COMMIT}{folder}: {why}\n{PLACE}hint: publish a wheel, or a source distribution, and lock that\n"
        );
        refuses(&service, "plan", 1, &expected);
    }
    let service = Service::filled();
    lock(&service, "https://h.example/x?rev=main#main");
    let expected = format!(
        "error: tensor 2.0 cannot be installed: it is locked to what a repository has, and not to a commit, so it may change\n{PLACE}hint: lock again, or name the commit with all of its 40 digits\n"
    );
    refuses(&service, "plan", 1, &expected);
}

#[test]
fn a_repository_or_commit_that_is_gone_is_told_without_a_password() {
    let repository = Repository::new("", &STATIC, |_| {});
    let service = Service::filled();
    let url = repository.server.url("/absent.git");
    lock(&service, &format!("{}?rev=main#{}", url.replace("http://", "http://user:hunter2@"), repository.commit));
    let expected = format!(
        "error: fetching {url}@{}: fatal: repository '{url}/' not found\n{PLACE}hint: git fetches it with your configuration and credentials: try `git ls-remote` with that URL\n",
        repository.commit
    );
    refuses(&service, "plan", 3, &expected);
    let (url, commit) = (repository.url(), &repository.commit);
    repository.lock(&service, "");
    let expected = format!(
        "error: fetching {url}@{commit}: not allowed while offline\n{PLACE}hint: leave out --offline, or fetch what is missing once with a network\n"
    );
    refuses(&service, "plan --offline", 3, &expected);
    assert!(!repository.server.server().asked().iter().any(|asked| asked.path.contains("tensor.git")));
    let (url, absent) = (repository.url(), "0123456789012345678901234567890123456789");
    lock(&service, &format!("{url}?rev=main#{absent}"));
    let expected = format!(
        "error: fetching {url}@{absent}: the repository does not have this commit\n{PLACE}hint: the commit may have been removed from its repository: lock again\n"
    );
    refuses(&service, "plan", 3, &expected);
}

#[test]
fn submodules_are_named_and_left_out() {
    let other = Repository::new("", &STATIC, |_| {});
    let repository = Repository::new("", &STATIC, |tree| {
        // A repository in it is added as one of another.
        fs::create_dir(tree.join("vendored")).unwrap();
        git(&tree.join("vendored"), &["init", "-q"]);
        git(&tree.join("vendored"), &["commit", "-q", "--allow-empty", "-m", &other.commit]);
    });
    let service = Service::filled();
    repository.lock(&service, "");
    let ran = service.run("plan").expect(0);
    let told = format!("{}@{}: the submodule 'vendored' is not fetched", repository.url(), repository.commit);
    assert!(ran.stderr.contains(&told), "{}", ran.stderr);
}

#[test]
fn files_that_lead_out_are_refused() {
    let repository = Repository::new("", &STATIC, |tree| symlink("/etc/passwd", tree.join("link")).unwrap());
    let service = Service::filled();
    repository.lock(&service, "");
    let expected = format!(
        "\nerror: unpacking tensor-{commit}.tar.gz: the link 'tensor-{commit}/link' leaves it: '/etc/passwd'\n  --> ./uv.lock:12:8\n   |\n12 | name = \"tensor\"\n   |        ^^^^^^^^\nhint: lock another version of the package, or tell its maintainers\n",
        commit = repository.commit
    );
    refuses(&service, "plan", 1, &expected);
}
