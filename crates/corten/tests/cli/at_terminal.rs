//! The program at a terminal.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Child;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::dockerfile::Place;

/// A terminal with a program that runs in it.
pub struct Terminal {
    child: Child,
    ours: File,
    /// All that it has shown.
    pub shown: String,
}

impl Terminal {
    pub fn start(place: &Place, arguments: &str) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let size = Winsize { ws_row: 33, ws_col: 97, ws_xpixel: 0, ws_ypixel: 0 };
        let theirs = ptsname(&ours, Vec::new()).unwrap();
        let theirs = File::options().read(true).write(true).open(Path::new(theirs.to_str().unwrap())).unwrap();
        tcsetwinsize(&theirs, size).unwrap();
        let end = || theirs.try_clone().unwrap();
        let mut command = place.corten.command(place.path());
        command
            .args(arguments.split_whitespace())
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .stdin(end())
            .stdout(end())
            .stderr(end());
        Self { child: command.spawn().unwrap(), ours: ours.into(), shown: String::new() }
    }

    /// Reads until `text` has been shown, from what was read last on.
    pub fn until(&mut self, text: &str) {
        let from = self.shown.len();
        while !self.shown[from..].contains(text) {
            assert!(self.read(), "'{text}' is not shown: {}", self.shown);
        }
    }

    pub fn enter(&mut self, line: &str) {
        self.ours.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
        let ready = poll(&mut [PollFd::new(&self.ours, PollFlags::IN)], Some(&limit)).unwrap();
        assert!(ready > 0, "nothing is shown any more: {}", self.shown);
        // With its last holder, a terminal ends in EIO.
        let count = self.ours.read(&mut buffer).unwrap_or(0);
        self.shown.push_str(&String::from_utf8_lossy(&buffer[..count]));
        count > 0
    }

    /// The exit status.
    pub fn end(&mut self) -> i32 {
        while self.read() {}
        self.child.wait().unwrap().code().unwrap()
    }
}

/// `root/` with busybox, for `COPY root /`.
pub fn write_root(place: &Place) {
    let root = place.path().join("root");
    for folder in ["bin", "etc", "tmp"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    fs::copy(busybox.expect("busybox, of the Debian package busybox-static"), root.join("bin/busybox")).unwrap();
    for applet in ["cat", "echo", "id", "ls", "pwd", "sh", "stty", "true", "false", "yes", "head", "seq"] {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n").unwrap();
}

const FAILS: &str = "FROM scratch AS other
COPY root /
RUN echo elsewhere >/other
FROM scratch
COPY root /
WORKDIR /w
RUN echo before >/w/layer && echo free >/tmp/free
USER app
ENV NAME=value
RUN --mount=type=secret,id=token --mount=type=bind,from=other,source=/other,target=/mounted echo half >/tmp/half; false
RUN echo never
";

/// Everything that the command had is there: what it wrote, layers, user, folder, variables, mounts; the terminal has its size; the
/// build ends as it would have.
#[test]
fn debug_shell_opens_where_a_run_has_failed() {
    let place = Place::with(FAILS);
    write_root(&place);
    place.write("token", "canary");
    let mut terminal =
        Terminal::start(&place, "build --network none --secret id=token,src=token --debug-shell --progress plain");
    terminal.until("exit ends it, and the build");
    terminal.until("$ ");
    let line = "echo [$(cat /tmp/half),$(cat layer),$(id -u):$(id -g),$(pwd),$NAME,$(cat /mounted),$(stty size)]";
    terminal.enter(line);
    terminal.until("[half,before,1000:1001,/w,value,elsewhere,33 97]");
    terminal.enter("ls /run/secrets; echo changed >/tmp/half; exit 5");
    assert_eq!(terminal.end(), 1, "{}", terminal.shown);
    assert!(terminal.shown.contains("\nerror: [stage-1 5/6] RUN "), "{}", terminal.shown);
    assert!(terminal.shown.contains("the command ended with status 1"), "{}", terminal.shown);
    assert!(!terminal.shown.contains("never\r"), "{}", terminal.shown);
    // Nothing stays of it: the step is made again, from the start.
    place.write("Dockerfile", FAILS.replace("; false", "; cat /tmp/half"));
    let ran = place.run("build --network none --secret id=token,src=token --progress plain").expect(0);
    assert!(ran.stderr.contains(" half\n") && !ran.stderr.contains("changed"), "{}", ran.stderr);
}

#[test]
fn debug_shell_says_that_a_stage_has_no_shell() {
    let place = Place::with("FROM scratch\nCOPY root/bin/busybox /b\nRUN [\"/b\", \"false\"]\n");
    write_root(&place);
    let mut terminal = Terminal::start(&place, "build --network none --debug-shell");
    assert_eq!(terminal.end(), 1, "{}", terminal.shown);
    assert!(terminal.shown.contains("no shell can be opened: the stage has no /bin/sh"), "{}", terminal.shown);
}

#[test]
fn debug_shell_needs_a_terminal() {
    let place = Place::with("FROM scratch\nCOPY x /\n");
    let ran = place.run("build --debug-shell").expect(2);
    assert_eq!(
        ran.stderr.lines().skip(1).collect::<Vec<_>>(),
        [
            "error: --debug-shell: stdin and stdout are no terminal",
            "hint: without it, the error shows the last that the step has written, --progress plain all of it",
        ]
    );
    let ran = place.run_with("build --debug-shell -f - .", b"FROM scratch\n").expect(2);
    assert!(
        ran.stderr.contains("error: --debug-shell: stdin cannot be a terminal and what is built at once\n"),
        "{}",
        ran.stderr
    );
}
