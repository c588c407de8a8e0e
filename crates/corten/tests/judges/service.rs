//! A started container, seen from outside: what the kernel lets its process do, and what it answers.
//!
//! No judge gives it a network: it is asked from a thread that enters its network namespace.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use crate::image::PORT;
use crate::place::{done, until};

/// Descriptions that nobody could put elsewhere, and their sections.
const TEXTS: [(&str, &str); 3] = [
    ("command line mail client with IMAP support", "mail"),
    ("arcade game with penguins", "games"),
    ("shared library for fast matrix computations", "libs"),
];

/// The model's weights as a pipe: nothing comes out of it until they are given.
pub struct HeldModel {
    pipe: PathBuf,
    weights: PathBuf,
}

impl HeldModel {
    /// Where the service looks for it.
    pub const AT: &str = "/app/weights/sections.onnx";

    /// A pipe in `folder`.
    pub fn new(folder: &Path) -> Self {
        let pipe = folder.join("sections.onnx");
        done(Command::new("mkfifo").args(["--mode", "0444"]).arg(&pipe));
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/text-classifier/weights/sections.onnx");
        Self { pipe, weights: example.into() }
    }

    /// What a runtime mounts at [`HeldModel::AT`].
    pub fn path(&self) -> &Path {
        &self.pipe
    }

    fn give(&self) -> Giver {
        let mut command = Command::new("sh");
        command.args(["-c", "exec cat <\"$1\" >\"$2\"", "giver"]).args([&self.weights, &self.pipe]);
        Giver(command.stdin(Stdio::null()).spawn().unwrap())
    }
}

/// Gone with the test, also when nobody takes what it gives.
struct Giver(Child);

impl Drop for Giver {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The first process of a container.
pub struct Service {
    process: u32,
}

impl Service {
    /// By its number on this machine.
    pub fn new(process: &str) -> Self {
        let process = process.trim().parse().unwrap();
        assert_ne!(process, 0, "the container is not running");
        Self { process }
    }

    /// All that is asked of a started service: it has no privileges, is alive at once, ready only once it has its model, and
    /// then right.
    ///
    /// # Errors
    /// What it does otherwise.
    pub fn judge(&self, model: &HeldModel) -> Result<(), String> {
        self.is_alive()?;
        self.has_no_privileges();
        for (path, answer) in [("/health", 200), ("/ready", 503), ("/health", 200), ("/ready", 503)] {
            assert_eq!(self.get(path)?.0, answer, "{path} without a model");
        }
        let _giver = model.give();
        until("/ready with a model", || Ok((self.get("/ready")?.0 == 200).then_some(())))?;
        self.classifies()
    }

    /// Waits until it answers at all.
    pub fn is_alive(&self) -> Result<(), String> {
        let (status, body) = until("/health", || match self.get("/health") {
            Err(_) if Path::new(&format!("/proc/{}", self.process)).exists() => Ok(None),
            answer => answer.map(Some),
        })?;
        assert_eq!((status, body["status"].as_str()), (200, Some("alive")));
        Ok(())
    }

    /// User and group 10001, no capability to be had, a root that nobody can write to.
    fn has_no_privileges(&self) {
        let status = self.read("status");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_else(|| panic!("{name}")).split_whitespace().collect::<Vec<_>>()
        };
        assert_eq!(field("Uid"), ["10001"; 4]);
        assert_eq!(field("Gid"), ["10001"; 4]);
        assert!(field("Groups").iter().all(|group| *group == "10001"), "{status}");
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(field(set), ["0000000000000000"], "{set}");
        }
        assert_eq!(field("NoNewPrivs"), ["1"]);
        let mounts = self.read("mountinfo");
        let options = |point: &str| {
            let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
            lines.find(|fields| fields[4] == point).map(|fields| fields[5].split(',').next().unwrap().to_owned())
        };
        assert_eq!(options("/").as_deref(), Some("ro"), "{mounts}");
        assert_eq!(options("/tmp").as_deref(), Some("rw"), "{mounts}");
    }

    fn classifies(&self) -> Result<(), String> {
        let texts: Vec<_> = TEXTS.iter().map(|(text, _)| text).collect();
        let (status, answer) = self.ask("POST", "/classify", &serde_json::json!({ "texts": texts }).to_string())?;
        let labels = answer["labels"].as_array().unwrap();
        let sections: Vec<_> = labels.iter().map(|label| label["section"].as_str().unwrap()).collect();
        assert_eq!((status, sections), (200, TEXTS.map(|(_, section)| section).to_vec()));
        assert!(labels.iter().all(|label| (0.3..=1.0).contains(&label["probability"].as_f64().unwrap())), "{answer}");
        assert_eq!(self.ask("POST", "/classify", "{}")?.0, 422);
        Ok(())
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.process)).unwrap()
    }

    fn get(&self, path: &str) -> Result<(u16, Value), String> {
        self.ask("GET", path, "")
    }

    /// Status and JSON of the answer.
    fn ask(&self, method: &str, path: &str, body: &str) -> Result<(u16, Value), String> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = std::thread::scope(|scope| scope.spawn(|| self.exchange(&request)).join().unwrap());
        let answer = answer.map_err(|error| format!("{method} {path}: {error}"))?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("{method} {path}: {answer:?}"))?;
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| format!("{method} {path}: {head}"))?;
        Ok((status, serde_json::from_str(body).map_err(|error| format!("{method} {path}: {error}: {body}"))?))
    }

    /// On a thread of its own, which stays in the container's network.
    fn exchange(&self, request: &str) -> std::io::Result<String> {
        let network = fs::File::open(format!("/proc/{}/ns/net", self.process))?;
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}
