//! What a build takes from elsewhere: addresses, repositories, agents; through the program, with servers and agents that are real.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use corten_testkit::http::{Answer, Asked, Server};

use crate::dockerfile::Place;

/// A bare repository as any web server serves it: a file, a folder with another, a tag, and a submodule beside it that is told
/// relative to it.
fn repository(serve: fn(&Path, &Asked) -> Answer) -> (tempfile::TempDir, Server, String) {
    let folder = tempfile::tempdir().unwrap();
    let script = "set -e; export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
        bare() { git clone -q --bare $1 $1.git; git -C $1.git update-server-info; }
        git init -q -b main inner; echo inner >inner/i; git -C inner add -A; git -C inner commit -qm 1; bare inner
        git init -q -b main r; cd r; echo one >f; mkdir sub; echo two >sub/g; git add -A; git commit -qm 1; git tag v1
        git -c protocol.file.allow=always submodule --quiet add ../inner.git s; git commit -qm 2; cd ..; bare r
        git -C r rev-parse HEAD";
    let made = Command::new("sh").current_dir(folder.path()).args(["-c", script]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let root = folder.path().to_owned();
    let server = Server::start(move |asked| serve(&root, asked));
    (folder, server, String::from_utf8(made.stdout).unwrap().trim().to_owned())
}

/// As any web server does.
fn plain(root: &Path, asked: &Asked) -> Answer {
    let path = asked.path.split('?').next().unwrap_or_default().trim_start_matches('/');
    fs::read(root.join(path)).map_or_else(|_| Answer::status(404), Answer::ok)
}

/// As hosts of repositories do: git-http-backend(1), by RFC 3875.
fn smart(root: &Path, asked: &Asked) -> Answer {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let header = |name| asked.header(name).unwrap_or_default();
    let mut git = Command::new("git");
    git.arg("http-backend").env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1").env("PATH_INFO", path);
    git.env("QUERY_STRING", query).env("REQUEST_METHOD", &asked.method).env("CONTENT_TYPE", header("content-type"));
    git.env("HTTP_CONTENT_ENCODING", header("content-encoding")).env("HTTP_GIT_PROTOCOL", header("git-protocol"));
    git.env("CONTENT_LENGTH", asked.body.len().to_string());
    let mut child = git.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&asked.body).unwrap();
    let output = child.wait_with_output().unwrap().stdout;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let mut answer = Answer::ok(&output[end + 4..]);
    for line in String::from_utf8(output[..end].to_vec()).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        match name {
            "Status" => answer.status = value[..3].parse().unwrap(),
            _ => answer = answer.header(name, value),
        }
    }
    answer
}

fn files(place: &Place, below: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![place.path().join(below)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true if path.ends_with(".git") => found.push(".git".to_owned()),
                true => open.push(path),
                false => found.push(path.strip_prefix(place.path().join(below)).unwrap().display().to_string()),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn add_takes_a_repository_with_its_submodules_a_folder_of_it_and_no_other_commit() {
    for serve in [plain, smart] {
        takes_a_repository(serve);
    }
}

fn takes_a_repository(serve: fn(&Path, &Asked) -> Answer) {
    let (_kept, server, commit) = repository(serve);
    let url = server.url("/r.git");
    let add = |place: &Place, add: &str| {
        place.write("Dockerfile", format!("FROM scratch\nADD {add} /\n"));
        place.run("build --allow-private-add -o out")
    };
    for (what, expected) in [
        (url.clone(), vec![".gitmodules", "f", "s/.git", "s/i", "sub/g"]),
        (format!("{url}#v1"), vec!["f", "sub/g"]),
        (format!("{url}#{commit}"), vec![".gitmodules", "f", "s/.git", "s/i", "sub/g"]),
        (format!("{url}#main:sub"), vec!["g"]),
        (format!("--keep-git-dir=true {url}#v1"), vec![".git", "f", "sub/g"]),
        (format!("--checksum={} {url}?subdir=sub", &commit[..12]), vec!["g"]),
    ] {
        let place = Place::new();
        add(&place, &what).expect(0);
        assert_eq!(files(&place, "out"), expected, "{what}");
    }
    let place = Place::new();
    let refused = add(&place, &format!("--checksum=0123456789 {url}")).expect(1);
    let told = format!("error: {url} is at commit {commit}, not 0123456789\n");
    assert!(refused.stderr.contains(&told), "{}", refused.stderr);
    // A context, too.
    let place = Place::new();
    place.write("any", "FROM scratch\nCOPY . /\n");
    place.run(&format!("build -f - -o out {url}#main:sub")).expect(1);
    place.run_with(&format!("build -f - -o out {url}#main:sub"), b"FROM scratch\nCOPY . /\n").expect(0);
    assert_eq!(files(&place, "out"), ["g"]);
}

#[test]
fn d10_add_asks_no_repository_of_a_private_network() {
    let (_kept, server, _) = repository(plain);
    for url in [server.url("/r.git"), server.url("/r.git").replace("127.0.0.1", "localhost")] {
        let place = Place::with(&format!("FROM scratch\nADD {url} /\n"));
        let ran = place.run("build").expect(1);
        assert!(ran.stderr.contains(", which is not on the internet"), "{}", ran.stderr);
    }
    assert!(server.asked().is_empty());
}

/// git would connect to this machine for the first of these, and ssh for the others.
#[test]
fn d10_add_asks_no_host_that_git_reads_out_of_an_address_and_we_do_not() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    for (address, shown) in [
        (format!("git://127.0.0.1:{port}%2f@nosuch.invalid/x"), "git://nosuch.invalid/x"),
        ("git@[::1]:x".to_owned(), "git@[::1]:x"),
        (format!("ssh://git@127.0.0.1:{port}%2f@nosuch.invalid/x"), "ssh://nosuch.invalid/x"),
    ] {
        let place = Place::with(&format!("FROM scratch\nADD {address} /\n"));
        let ran = place.run("build").expect(1);
        let told = format!("error: ADD {shown}: it is not clear which host this is\n --> Dockerfile:2:1\n");
        let hint = "\nhint: write ssh://USER@HOST/PATH; --allow-private-add lets ADD reach any host\n";
        assert!(ran.stderr.contains(&told) && ran.stderr.contains(hint), "{}", ran.stderr);
    }
    for address in ["git@127.0.0.1:x@nosuch.invalid", "ssh://git@[::1]/x", "git://127.0.0.1/x"] {
        let place = Place::with(&format!("FROM scratch\nADD {address} /\n"));
        let ran = place.run("build").expect(1);
        assert!(ran.stderr.contains(", which is not on the internet"), "{}", ran.stderr);
    }
    let place = Place::with("FROM scratch\nADD git://nosuch.invalid/x /\n");
    let ran = place.run("build").expect(3);
    assert!(
        ran.stderr.contains("error: ADD git://nosuch.invalid/x: nosuch.invalid cannot be found\n"),
        "{}",
        ran.stderr
    );
    assert!(listener.accept().is_err());
}

#[test]
fn add_takes_files_as_docker_takes_them() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/moved" => Answer::redirect(302, "/file.txt"),
        "/file.txt" => Answer::ok("content").header("Last-Modified", "Mon, 03 Feb 2020 04:05:06 GMT"),
        "/loop" => Answer::redirect(302, "/loop"),
        _ => Answer::status(404),
    });
    let add = |place: &Place, what: &str, path: &str| {
        place.write("Dockerfile", format!("FROM scratch\nADD {what} {} /d/\n", server.url(path)));
        place.run("build --allow-private-add -o out")
    };
    let place = Place::new();
    add(&place, "", "/file.txt").expect(0);
    let found = fs::metadata(place.path().join("out/d/file.txt")).unwrap();
    assert_eq!((found.mode() & 0o7777, found.mtime()), (0o600, 1_580_702_706));
    let place = Place::new();
    add(&place, "--chmod=644", "/moved").expect(0);
    assert_eq!(fs::read_to_string(place.path().join("out/d/moved")).unwrap(), "content");
    for (path, status, told) in [
        ("/absent", 3, format!("error: ADD {}: the server answers 404\n", server.url("/absent"))),
        ("/loop", 3, format!("error: ADD {}: more than 10 redirects\n", server.url("/loop"))),
    ] {
        let ran = add(&place, "", path).expect(status);
        assert!(ran.stderr.contains(&told), "{}", ran.stderr);
    }
}

/// Neither what is said, nor the image, nor the list of steps.
#[test]
fn d10_a_password_in_an_address_is_told_nowhere() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/a" => Answer::ok("a"),
        _ => Answer::status(404),
    });
    let with = |path: &str| server.url(path).replace("//", "//me:hunter2@");
    let place = Place::with(&format!("FROM scratch\nADD {} /\n", with("/a")));
    let ran = place.run("build --allow-private-add -t told --format json").expect(0);
    assert!(!format!("{}{}", ran.stderr, ran.stdout).contains("hunter2"), "{}", ran.stderr);
    let history = place.run("history told --format json").expect(0).stdout;
    assert!(history.contains(&server.url("/a")) && !history.contains("hunter2"), "{history}");
    let wrong = "0".repeat(64);
    for line in [
        format!("ADD --checksum=sha256:{wrong} {} /", with("/a")),
        format!("ADD {} /", with("/absent")),
        format!("ADD {} /", with("/absent.git")),
    ] {
        place.write("Dockerfile", format!("FROM scratch\n{line}\n"));
        for flags in ["--allow-private-add", "--offline --no-cache", ""] {
            let ran = place.run(&format!("build {flags} --format json"));
            assert_ne!(ran.status, 0);
            // The user's own line is shown as he wrote it.
            let said = ran.stderr.replace(&line, "");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}

#[test]
fn a_context_is_a_tar_at_an_address() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Dockerfile"), "FROM scratch\nCOPY x /y\n").unwrap();
    fs::write(folder.path().join("x"), "one").unwrap();
    let tar = Command::new("tar").current_dir(folder.path()).args(["-czf", "-", "Dockerfile", "x"]).output().unwrap();
    let server = Server::start(move |_| Answer::ok(tar.stdout.clone()));
    let place = Place::new();
    place.run(&format!("build -o out {}", server.url("/context.tar.gz"))).expect(0);
    assert_eq!(fs::read_to_string(place.path().join("out/y")).unwrap(), "one");
}

/// An agent with one key; ends with this value.
struct Agent {
    process: Child,
    socket: PathBuf,
    public: String,
}

impl Agent {
    fn start(folder: &Path) -> Option<Self> {
        let (agent, add) = (xtask::peers::installed("ssh-agent")?, xtask::peers::installed("ssh-add")?);
        let socket = folder.join("agent");
        let mut command = Command::new(agent);
        let process = command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        let key = folder.join("key");
        let done = |command: &mut Command| assert!(command.output().unwrap().status.success(), "{command:?}");
        done(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "judged", "-f"]).arg(&key));
        // Until it listens.
        while !socket.exists() {
            std::thread::yield_now();
        }
        done(Command::new(&add).arg("-q").arg(&key).env("SSH_AUTH_SOCK", &socket));
        let public = fs::read_to_string(key.with_extension("pub")).unwrap();
        Some(Self { process, socket, public })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// `ssh-add` of this machine asks the agent from within; the key itself is in no layer.
#[test]
fn a_run_asks_the_agent_that_ssh_gives_it() {
    let place = Place::with(
        "FROM scratch\nADD root.tar /\nRUN --mount=type=ssh [\"/usr/bin/ssh-add\", \"-L\"]\n\
         RUN --mount=type=ssh,id=other,target=/a.sock [\"/usr/bin/ssh-add\", \"-L\"]\nRUN [\"/usr/bin/ssh-add\", \"-L\"]\n",
    );
    let folder = tempfile::tempdir().unwrap();
    let Some(agent) = Agent::start(folder.path()) else { return };
    let script = "set -e; ssh=$(command -v ssh-add); mkdir -p root/usr/bin; cp -L $ssh root/usr/bin/ssh-add
        for file in $(ldd $ssh | grep -o '/[^ ]*'); do mkdir -p root$(dirname $file); cp -L $file root$file; done
        tar -C root --owner=0 --group=0 -cf root.tar .";
    let made = Command::new("sh").current_dir(place.path()).args(["-c", script]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let socket = agent.socket.display();
    let ran = place.run(&format!("build --progress plain --ssh default={socket} --ssh other={socket}")).expect(1);
    assert_eq!(ran.stderr.matches(agent.public.trim()).count(), 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("Could not open a connection to your authentication agent"), "{}", ran.stderr);
    let refused = place.run(&format!("build --ssh default={}", place.path().join("root.tar").display())).expect(2);
    assert!(refused.stderr.contains("is no socket\nhint: keys are given to an agent"), "{}", refused.stderr);
}

#[test]
fn an_agent_that_a_run_requires_has_to_be_given() {
    let place = Place::with("FROM scratch\nRUN --mount=type=ssh,required [\"/x\"]\n");
    let ran = place.run("build").expect(1);
    let told = "error: the agent 'default' is required and was not given\n";
    assert!(ran.stderr.contains(told) && ran.stderr.contains("hint: give it with --ssh default\n"), "{}", ran.stderr);
}
