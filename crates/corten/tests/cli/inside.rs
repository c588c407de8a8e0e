//! What developers rely on inside containers: the way to the internet through a company's proxy, and the two habits of building
//! and running, and of editing what is mounted.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Child;

use corten_testkit::http::{Answer, Server};
use corten_testkit::proxy::Proxy;
use corten_testkit::tls;

use crate::bars::boxes::{Player, files};

/// A program of this machine in a container, with its libraries.
fn with_host_programs(flags: &[&str], command: &[&str]) -> Vec<String> {
    let mut line: Vec<String> = ["run", "--rm"].iter().chain(flags).map(|word| (*word).to_owned()).collect();
    for folder in ["/usr", "/lib", "/lib64"].into_iter().filter(|folder| Path::new(folder).exists()) {
        line.extend(["-v".to_owned(), format!("{folder}:{folder}:ro")]);
    }
    line.push("box:1".to_owned());
    line.extend(command.iter().map(|word| (*word).to_owned()));
    line
}

/// A proxy that wants a login, and answers for a host with the certificate of a company's authority.
#[test]
fn who_is_inside_gets_out_by_a_proxy_that_looks_into_tls() {
    let server = Server::start_tls(tls::server(), |_| Answer::ok("from the internet"));
    let proxy = Proxy::start(&[("registry.test", &server.place())], Some(("me", "pass")));
    let fetch = "import urllib.request as u\ntry: print(u.urlopen('https://registry.test/').read().decode())\nexcept Exception as e: print(e)";
    for player in Player::all() {
        let authority = player.write("authority.pem", tls::AUTHORITY).display().to_string();
        let fetched = |flags: &[&str], more: &[&str]| {
            let line = with_host_programs(flags, &["/usr/bin/python3", "-c", fetch]);
            let line: Vec<&str> = line.iter().map(String::as_str).chain(more.iter().copied()).collect();
            let mut command = player.command(&line);
            command.env("HTTPS_PROXY", proxy.url_with("me", "pass"));
            corten_testkit::command::Ran::from(command.output().unwrap()).expect(0).stdout
        };
        let host = ["--network", "host"];
        let with = ["--ca-file", &authority, "--network", "host"];
        assert_eq!(fetched(&with, &[]), "from the internet\n", "{}", player.name);
        let without = fetched(&host, &[]);
        assert!(without.contains("certificate verify failed"), "{}: {without}", player.name);
        // Whatever the user says goes before.
        let own = fetched(&[&with[..], &["-e", "HTTPS_PROXY=http://127.0.0.1:9"]].concat(), &[]);
        assert!(own.contains("refused"), "{}: {own}", player.name);
    }
}

#[test]
fn proxies_and_authorities_are_in_no_layer_config_or_key() {
    for player in Player::all() {
        let authority = player.write("authority.pem", tls::AUTHORITY).display().to_string();
        let text = "FROM box:1\nRUN touch /ran; grep -c BEGIN \"$SSL_CERT_FILE\" && grep -q \"$PIP_CERT\" \"$APT_CONFIG\" && echo \"by $HTTPS_PROXY\" && ls /dev/corten\nRUN ls /etc > /list\n";
        player.write("built/Dockerfile", text);
        let build = |flags: &[&str], proxy: Option<&str>| {
            let mut command =
                player.command(&[&["build", "built", "-t", "built:1", "--format", "json"], flags].concat());
            command.envs(proxy.map(|proxy| ("HTTPS_PROXY", proxy))).env("SOURCE_DATE_EPOCH", "1600000000");
            corten_testkit::command::Ran::from(command.output().unwrap())
        };
        let ran = build(&["--ca-file", &authority], Some("http://me:hunter2-canary@proxy.test:3128")).expect(0);
        assert!(ran.stderr.contains("apt.conf\n") && ran.stderr.contains("by http://"), "{}", ran.stderr);
        let again = build(&[], None).expect(0);
        assert_eq!(again.json()["id"], ran.json()["id"]);
        assert!(again.json()["steps"].as_array().unwrap().iter().all(|step| step["cached"] == true), "no key has them");
        let config = player.run(&["inspect", "built:1", "--format", "json"]).expect(0).stdout;
        assert!(!config.contains("proxy.test") && !config.contains("authorities.pem"), "{config}");
        let line = tls::AUTHORITY.split(|byte| *byte == b'\n').nth(2).unwrap();
        for path in files(&player.store()) {
            let bytes = fs::read(&path).unwrap();
            for needle in [&b"hunter2-canary"[..], b"authorities.pem", line] {
                assert!(memchr::memmem::find(&bytes, needle).is_none(), "{}", path.display());
            }
        }
        let found = player.run(&["run", "--rm", "--network", "none", "built:1", "ls", "/dev", "/ran"]).expect(0);
        assert!(!found.stdout.contains("corten"), "{}", found.stdout);
    }
}

fn page(port: u16) -> String {
    let mut text = String::new();
    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
        let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n").and_then(|()| stream.read_to_string(&mut text).map(drop));
    }
    text
}

fn wait_for(port: u16, child: &mut Child, expected: &str) {
    while !page(port).ends_with(expected) {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
    }
}

/// `corten build -t x . && corten run --rm -p 8000:8000 x`; then the same with the sources mounted, edited while it runs.
#[test]
fn what_is_built_is_run_and_what_is_mounted_is_edited_without_building() {
    if corten_sandbox::pasta().is_none() {
        return crate::ground::not_run("pasta is not installed");
    }
    let player = Player::all().remove(0);
    player.write("site/index.html", "built\n");
    player.write(
        "site/Dockerfile",
        "FROM box:1\nWORKDIR /site\nCOPY index.html .\nEXPOSE 8000\nCMD [\"httpd\", \"-f\", \"-p\", \"8000\"]\n",
    );
    player.run(&["build", "-t", "x", "site"]).expect(0);
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let publish = format!("{port}:8000");
    let end = |mut child: Child| {
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert_eq!(player.left(), [""; 0]);
    };
    let mut child = player.command(&["run", "--rm", "-p", &publish, "x"]).spawn().unwrap();
    wait_for(port, &mut child, "\r\n\r\nbuilt\n");
    end(child);
    let mut child = player.command(&["run", "--rm", "-p", &publish, "-v", "./site:/site", "x"]).spawn().unwrap();
    wait_for(port, &mut child, "\r\n\r\nbuilt\n");
    // As editors do: written anew under the same name, and in place.
    player.write("site/new", "edited\n");
    fs::rename(player.path("site/new"), player.path("site/index.html")).unwrap();
    wait_for(port, &mut child, "\r\n\r\nedited\n");
    player.write("site/index.html", "again\n");
    wait_for(port, &mut child, "\r\n\r\nagain\n");
    end(child);
}
