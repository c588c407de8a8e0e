//! Part E of the catalogue where the image or the options are the attack: what must be refused, with the message, and what must
//! be harmless; each by its id.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use corten_testkit::command::Ran;
use serde_json::{Value, json};

use super::boxes::{CANARY, Outside, Player, busybox, file, folder, link, pipe, processes_with, tar};
use crate::ground::not_run;

/// What is tried by one user, and what went wrong.
pub struct Trial<'a> {
    player: &'a Player,
    outside: &'a Outside,
    is_whole: bool,
    base: Vec<u8>,
    pub tried: usize,
    pub wrong: Vec<String>,
}

type Recipe = fn(&mut Trial<'_>);

const RECIPES: [(&[&str], Recipe); 15] = [
    (&["E1"], |trial| trial.working_folders()),
    (&["E3"], |trial| trial.null_devices()),
    (&["E4"], |trial| trial.terminals()),
    (&["E5"], |trial| trial.mounts_over_the_kernels_folders()),
    (&["E5", "E6"], |trial| trial.links_for_the_kernels_folders()),
    (&["E7"], |trial| trial.targets_of_volumes()),
    (&["E8"], |trial| trial.long_sources()),
    (&["E9"], |trial| trial.loaders()),
    (&["E10"], |trial| trial.accounts()),
    (&["E11"], |trial| trial.groups()),
    (&["E13"], |trial| trial.calls()),
    (&["E14"], |trial| trial.variables()),
    (&["E18"], |trial| trial.bombs()),
    (&["E19"], |trial| trial.names()),
    (&["E20"], |trial| trial.ports()),
];

impl<'a> Trial<'a> {
    pub fn new(player: &'a Player, outside: &'a Outside, is_whole: bool) -> Self {
        Self { player, outside, is_whole, base: busybox(), tried: 0, wrong: Vec::new() }
    }

    /// Those of an id; all where it is empty.
    pub fn all(&mut self, id: &str) {
        for (_, recipe) in RECIPES.iter().filter(|(ids, _)| id.is_empty() || ids.contains(&id)) {
            recipe(self);
        }
    }

    fn judge(&mut self, what: &str, is_right: bool, said: &str) {
        self.tried += 1;
        let name = self.player.name;
        if !is_right || said.contains("ESCAPED") || said.contains(CANARY) {
            self.wrong.push(format!("{name} {what}: {said}"));
        }
        self.wrong.extend(self.outside.changes().into_iter().map(|change| format!("{name} {what}: {change}")));
    }

    /// In the image that was loaded last.
    fn run(&self, flags: &[&str], command: &[&str]) -> Ran {
        self.player.run(&[&["run", "--rm", "--network", "none"], flags, &["evil:1"], command].concat())
    }

    fn load(&self, parts: &[Vec<u8>], config: &Value) {
        self.player.load("evil:1", &[self.base.clone(), tar(parts)], config).expect(0);
    }

    fn working_folders(&mut self) {
        let out = self.outside.text();
        for number in (3..=20).step_by(if self.is_whole { 1 } else { 8 }) {
            self.load(&[], &json!({"WorkingDir": format!("/proc/self/fd/{number}")}));
            let ran = self.run(&[], &["sh", "-c", "pwd; cat ../../../..$0/victim", out]);
            self.judge("E1 a working folder behind a descriptor", ran.status != 0, &ran.stderr);
        }
    }

    fn null_devices(&mut self) {
        let images = [
            ("a link", vec![folder("dev/", 0o755), link("dev/null", "/proc/sys/kernel/core_pattern")]),
            ("a file", vec![folder("dev/", 0o755), file("dev/null", "x", 0o666), file("dev/.wh.zero", "", 0o644)]),
        ];
        for (what, parts) in images {
            self.load(&parts, &json!({}));
            let ran = self.run(&[], &["sh", "-c", "head -c1 /proc/keys; stat -c %t:%T /dev/null"]);
            self.judge(&format!("E3 /dev/null is {what}"), ran.stdout == "1:3\n", &ran.stdout);
        }
    }

    fn terminals(&mut self) {
        let out = self.outside.text();
        for (name, target) in
            [("console", "/proc/1/mem"), ("ptmx", "/proc/sys/kernel/core_pattern"), ("pts", out), ("tty", out)]
        {
            self.load(&[folder("dev/", 0o755), link(&format!("dev/{name}"), target)], &json!({}));
            let ran = self.run(&["-t"], &["sh", "-c", "echo x > /dev/tty; tty"]);
            let is_right = ran.stdout.ends_with("/dev/pts/0\r\n");
            self.judge("E4 terminals behind links", is_right, &(ran.stdout + &ran.stderr));
        }
    }

    fn links_for_the_kernels_folders(&mut self) {
        let out = self.outside.text();
        for (name, target) in [("proc", "/x"), ("sys", "/x"), ("dev", out), ("dev", "/proc/self/root"), ("proc", out)] {
            self.load(&[folder("x/", 0o755), link(name, target)], &json!({}));
            let ran = self.run(&[], &["true"]);
            let told = format!("a symbolic link stands where /{name} is to be mounted");
            let is_right = ran.status == 125 && ran.stderr.contains(&told);
            self.judge("E5 E6 /proc, /sys or /dev is a link", is_right, &ran.stderr);
        }
    }

    fn mounts_over_the_kernels_folders(&mut self) {
        self.load(&[], &json!({}));
        let out = self.outside.text();
        for target in ["/proc", "/proc/sys", "/sys/kernel", "/dev", "/dev/null"] {
            let ran = self.run(&["-v", &format!("{out}:{target}")], &["true"]);
            self.judge("E5 a bind over /proc, /sys or /dev", true, &ran.stderr);
            let ran = self.run(&["--tmpfs", target], &["sh", "-c", "head -c 1 /proc/keys"]);
            self.judge("E5 a tmpfs over /proc, /sys or /dev", ran.stdout.is_empty(), &ran.stderr);
        }
    }

    fn targets_of_volumes(&mut self) {
        let out = self.outside.text();
        for (target, is_refused) in [
            (out, true),
            ("/proc/self/root", true),
            ("/proc", true),
            ("/sys", true),
            ("/dev/shm", true),
            ("/etc", false),
        ] {
            self.load(&[link("vol", target)], &json!({"Volumes": {"/vol": {}}}));
            for flags in [&[][..], &["-v", "named:/vol"]] {
                let ran = self.run(flags, &["sh", "-c", "echo x > /vol/made"]);
                let is_right = !is_refused || ran.status != 0;
                self.judge("E7 a volume's target is a link", is_right, &format!("{target} {}", ran.stderr));
            }
        }
    }

    fn long_sources(&mut self) {
        self.load(&[], &json!({}));
        let long = format!("/{}:/x", "a".repeat(64 << 10));
        let ran = self.run(&["-v", &long], &["true"]);
        self.judge("E8 a source of 64 KiB", ran.status == 125, "");
    }

    fn loaders(&mut self) {
        let parts = [file("etc/ld.so.preload", "/p.so\n", 0o644), file("etc/nsswitch.conf", "passwd: evil\n", 0o644)];
        self.load(&parts, &json!({"User": "app"}));
        let ran = self.run(&[], &["id", "-u"]);
        let is_right = ran.stdout == "1000\n" || ran.status == 125;
        self.judge("E9 nothing of the image is loaded", is_right, &ran.stderr);
    }

    fn accounts(&mut self) {
        let victim = format!("{}/victim", self.outside.text());
        let files = [
            (vec![file("etc/group", vec![b'x'; 11 << 20], 0o644)], "it is larger than 10 MiB"),
            (vec![folder("etc/", 0o755), pipe("etc/passwd")], "Invalid argument"),
            (vec![link("etc/passwd", &victim)], "it lies behind a symbolic link"),
            (vec![file("etc/passwd", "app:x:-1:-1::/:", 0o644)], "the image has no user 'app'"),
        ];
        for (parts, told) in files {
            self.load(&parts, &json!({"User": "app:app"}));
            let ran = self.run(&[], &["true"]);
            let is_right = ran.status == 125 && ran.stderr.contains(told);
            self.judge("E10 files of accounts that are traps", is_right, &ran.stderr);
        }
        for user in ["-1", "4294967295", "4294967296", "0x0", "18446744073709551616", "1000:-1", "app;id", "../root"] {
            self.load(&[], &json!({"User": user}));
            let ran = self.run(&[], &["id", "-u"]);
            self.judge("E10 users that are none", ran.status == 125, &ran.stderr);
        }
    }

    /// With one id there are no others to have.
    fn groups(&mut self) {
        self.load(&[], &json!({"User": "app"}));
        let ran = self.run(&[], &["id"]);
        let is_right = match self.player.name {
            "nobody" => ran.stdout.starts_with("uid=1000(app) gid=1001(app)") && !ran.stdout.contains("root"),
            _ => ran.stdout == "uid=1000(app) gid=1001(app) groups=29(audio)\n",
        };
        self.judge("E11 groups are those of the files", is_right, &(ran.stdout + &ran.stderr));
    }

    /// By a program that makes system calls as they are: busybox has no words for most.
    fn calls(&mut self) {
        let Some(program) = calls() else { return };
        self.load(&[file("calls", program, 0o755)], &json!({}));
        let ran = self.run(&[], &["/calls"]);
        self.judge("E13 calls, in `run`", only_refused(&ran.stdout), &(ran.stdout + &ran.stderr));
        self.player.write("calls/Dockerfile", "FROM evil:1\nRUN /calls > /said\nFROM scratch\nCOPY --from=0 /said /\n");
        self.player.open_folder("calls-out");
        let built = self.player.run(&["build", "calls", "-o", "type=local,dest=calls-out"]);
        let said = fs::read_to_string(self.player.path("calls-out/said")).unwrap_or_default();
        self.judge("E13 calls, in RUN", only_refused(&said), &(said.clone() + &built.stderr));
    }

    fn variables(&mut self) {
        let env = [
            "PATH=/bin",
            "LD_PRELOAD=/proc/self/cwd/p.so",
            "NVIDIA_VISIBLE_DEVICES=all",
            "NVIDIA_DRIVER_CAPABILITIES=all",
        ];
        let config = json!({"Env": env, "Labels": {"cdi.k8s.io/x": "vendor.com/gpu=all"}});
        self.load(&[file("p.so", "not a library", 0o755)], &config);
        let ran = self.run(&[], &["sh", "-c", "ls -d /dev/nvidia* /usr/local/cuda && echo ESCAPED; echo fine"]);
        let is_right = ran.stdout == "fine\n";
        self.judge("E14 no hook listens to an image's variables", is_right, &(ran.stdout + &ran.stderr));
    }

    fn names(&mut self) {
        self.load(&[], &json!({}));
        for name in ["../x", "a/b", "a\u{1b}[2J", "", "x\ny"] {
            let named = self.run(&["--name", name], &["true"]);
            self.judge("E19 names", named.status == 125, name);
            let host = self.run(&["--hostname", name], &["true"]);
            self.judge("E19 host names", host.status == 125, name);
        }
    }

    fn bombs(&mut self) {
        self.load(&[], &json!({}));
        let script = "f() { f | f & }; f; sleep 0.2; echo ended";
        let ran = self.run(&["--pids-limit", "32", "-m", "64m"], &["sh", "-c", script]);
        self.judge("E18 a fork bomb", processes_with(script) == 0, &ran.stderr);
    }

    /// A published port is the loopback's, where nothing else is asked for.
    fn ports(&mut self) {
        if corten_sandbox::pasta().is_none() {
            return not_run("a network of a container's own needs pasta");
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let script = "echo well > /tmp/index.html; httpd -f -p 80 -h /tmp";
        let publish = format!("{port}:80");
        let line = ["run", "-d", "--rm", "--name", "web", "-p", &publish, "box:1", "sh", "-c", script];
        let started = self.player.run(&line);
        // Who may not open /dev/net/tun is in the host's network, and publishes nothing.
        if started.status == 125 && started.stderr.contains("the container is in the host's network") {
            return self.judge("E20 no published port", listening(port).is_empty(), &started.stderr);
        }
        started.expect(0);
        let mut text = String::new();
        while !text.ends_with("well\n") {
            text.clear();
            let listed = self.player.run(&["ps", "--format", "json"]).expect(0).stdout;
            assert!(listed.contains("\"web\""), "the container has ended before it answered: {listed}");
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
                stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
                let _ = stream.read_to_string(&mut text);
            }
        }
        let listening = listening(port);
        self.player.run(&["rm", "--force", "web"]).expect(0);
        self.judge("E20 a published port", listening == ["0100007F"], &format!("{listening:?}"));
    }
}

/// `probe/calls.c`, static: what is in no shared library of the image's own.
fn calls() -> Option<Vec<u8>> {
    let made = tempfile::tempdir().unwrap();
    let program = made.path().join("calls");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/bars/probe/calls.c");
    let ended = Command::new("cc").args(["-O1", "-static", "-o"]).arg(&program).arg(source).status();
    if !ended.is_ok_and(|status| status.success()) {
        not_run("E13 needs a C compiler and a static C library");
        return None;
    }
    Some(fs::read(&program).unwrap())
}

/// Did every call end with a refusal, of the filter or of the kernel, and none with what it asks for?
fn only_refused(said: &str) -> bool {
    const REFUSED: [&str; 2] = ["EPERM", "ENOSYS"];
    let (calls, end) = said.split_at(said.rfind("end").unwrap_or_default());
    let all: Vec<(&str, &str)> = calls.lines().filter_map(|line| line.split_once(' ')).collect();
    end == "end\n" && all.len() > 50 && all.iter().all(|(_, how)| REFUSED.contains(how))
}

/// The addresses on which somebody listens at a port, as the kernel writes them.
fn listening(port: u16) -> Vec<String> {
    let end = format!(":{port:04X}");
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    let fields = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    // State 0A: LISTEN.
    let sockets = fields.filter(|fields| fields.get(3) == Some(&"0A"));
    sockets.filter_map(|fields| Some(fields.get(1)?.strip_suffix(&end)?.to_owned())).collect()
}
