//! R20: what a process inside RUN and `corten run` has and sees, and the recipes of the catalogue's part E that try to get out.

use std::collections::BTreeMap;
use std::fs;

use corten_testkit::bar::Bar;
use serde_json::json;

use super::boxes::{CANARY, Outside, Player, file, folder, link, mounts_with, pipe, tar};

/// Facts, each a line `name=value`; what is masked and what is read-only is judged by what is in it.
const FACTS: &str = r#"
say() { echo "$1=$2"; }
ls /proc/2/fd
for name in CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp; do
  say $name "$(grep ^$name: /proc/self/status | tr -d '\t' | cut -d: -f2)"
done
say environment "$(tr '\0' '\n' < /proc/2/environ | grep -v '^HOSTNAME=' | tr '\n' ' ')"
say canaries "$(cat /proc/[0-9]*/environ 2>/dev/null | grep -c CORTEN_TEST_CANARY)"
say folder "$(readlink /proc/self/cwd)"
for name in cgroup ipc mnt net pid user uts; do say ns-$name "$(readlink /proc/self/ns/$name)"; done
masked=
for path in /proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug /proc/scsi \
  /proc/timer_list /proc/timer_stats /sys/devices/virtual/powercap /sys/firmware; do
  [ -e $path ] || continue
  grep -q " $path ro" /proc/self/mountinfo || masked="$masked no-mount:$path"
  if [ -d $path ]; then [ -z "$(ls $path)" ] || masked="$masked $path"
  else [ -z "$(head -c 1 $path)" ] || masked="$masked $path"; fi
  count=$((count + 1))
done
say masked-count $count
say unmasked "$masked"
for path in /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/irq/default_smp_affinity \
  /proc/bus/x /proc/fs/x /proc/self/exe /proc/1/exe /proc/1/mem /proc/1/oom_score_adj; do
  (echo x > $path) 2>/dev/null && say written $path
done
for path in /proc/1/exe /proc/1/environ /proc/1/maps /proc/kmsg; do
  (head -c 1 $path > /tmp/read) 2>/dev/null; [ -s /tmp/read ] && say read $path
done
for path in /proc/1/cwd /proc/1/root; do readlink $path >/dev/null 2>&1 && say read $path; done
say terminal "$(cut -d' ' -f7 /proc/self/stat)"
say devices "$(ls /dev | tr '\n' ' ')"
say others "$(ls -d /proc/[0-9]* | wc -l)"
say ids "$(awk '{print $1, $2, $3}' /proc/self/uid_map)"
say umask "$(umask)"
say oom "$(cat /proc/self/oom_score_adj)"
say core "$(ulimit -c)"
say mounts "$(grep -c HOSTFOLDER /proc/self/mountinfo)"
say rw-sys "$(grep ' /sys ' /proc/self/mountinfo | grep -c ' /sys rw')"
"#;

/// Scripts that print ESCAPED where they got something; `OUT` is the folder outside, `PID` a process of the host.
const SCRIPTS: [(&str, &str); 26] = [
    (
        "E1 a descriptor of the host's",
        "for n in $(seq 0 30); do cat /proc/$$/fd/$n/../../../../../../../..OUT/victim && echo ESCAPED; done",
    ),
    (
        "E1 folders of pid 1",
        "cat /proc/1/cwd/OUT/victim && echo ESCAPED; cat /proc/1/root/OUT/victim && echo ESCAPED; ls /proc/1/fd/3 && echo ESCAPED; ls OUT && echo ESCAPED",
    ),
    (
        "E2 the program of pid 1",
        "echo x > /proc/1/exe && echo ESCAPED; cat /proc/1/exe > /tmp/copy && echo ESCAPED; cp /proc/1/exe /tmp/c2 && echo ESCAPED",
    ),
    (
        "E2 a script whose interpreter is itself",
        "printf '#!/proc/self/exe\\n' > /tmp/evil; chmod 755 /tmp/evil; /tmp/evil; for pid in $(ls /proc | grep '^[0-9]'); do (echo x > /proc/$pid/exe) && echo ESCAPED; done",
    ),
    ("E3 core_pattern", "echo '|/evil' > /proc/sys/kernel/core_pattern && echo ESCAPED"),
    ("E3 what is masked, uncovered", "umount /proc/keys && echo ESCAPED; umount -l /proc/interrupts && echo ESCAPED"),
    (
        "E5 /proc/sys, writable again",
        "mount -o remount,rw /proc/sys && echo ESCAPED; umount /proc/sys && echo ESCAPED; mount -t proc p /tmp && echo ESCAPED",
    ),
    ("E5 sysrq", "echo h > /proc/sysrq-trigger && echo ESCAPED"),
    ("E6 a disk's device", "mknod /tmp/disk b 8 0 && echo ESCAPED; mknod /tmp/vda b 254 0 && echo ESCAPED"),
    (
        "E6 memory and the log",
        "mknod /tmp/mem c 1 1 && echo ESCAPED; dmesg > /tmp/log && echo ESCAPED; head -c 1 /proc/kmsg && echo ESCAPED",
    ),
    ("E7 mounts of its own", "mount -t tmpfs t /tmp && echo ESCAPED; mount --bind / /tmp && echo ESCAPED"),
    (
        "E9 another root",
        "pivot_root / /tmp && echo ESCAPED; mkdir /tmp/j; chroot /tmp/j /bin/true && echo ESCAPED; cat /../../../..OUT/victim && echo ESCAPED",
    ),
    ("E12 capabilities of children", "sh -c 'grep -E \"CapEff:.*(f{9}|3f)\" /proc/self/status' && echo ESCAPED"),
    (
        "E13 namespaces",
        "unshare -U true && echo ESCAPED; unshare -m true && echo ESCAPED; unshare -Urmpf true && echo ESCAPED; unshare -n true && echo ESCAPED",
    ),
    (
        "E13 namespaces of others",
        "nsenter -t 1 -m true && echo ESCAPED; nsenter -t 1 -U true && echo ESCAPED; nsenter -t 1 -p true && echo ESCAPED",
    ),
    (
        "E13 modules of the kernel",
        "insmod /bin/busybox && echo ESCAPED; modprobe loop && echo ESCAPED; rmmod x 2>/dev/null && echo ESCAPED",
    ),
    (
        "E15 cgroup v1",
        "mkdir /tmp/c; mount -t cgroup -o memory c /tmp/c && echo ESCAPED; ls /sys/fs/cgroup/* && echo ESCAPED",
    ),
    (
        "E15 cgroup v2",
        "mkdir /tmp/d; mount -t cgroup2 c /tmp/d && echo ESCAPED; echo 1 > /sys/fs/cgroup/notify_on_release && echo ESCAPED",
    ),
    (
        "E16 the engine's socket",
        "find / -xdev -name control -type s 2>/dev/null | grep . && echo ESCAPED; ls /proc/1/fd/ | grep . && echo ESCAPED",
    ),
    (
        "E17 a lower layer, written through",
        "echo x >> /bin/busybox && echo x > /etc/passwd && rm /data/seed; losetup /dev/loop0 /bin/busybox && echo ESCAPED",
    ),
    (
        "E18 the killer of processes",
        "echo -1000 > /proc/self/oom_score_adj && echo ESCAPED; ulimit -c unlimited && echo ESCAPED; renice -n -20 $$ && echo ESCAPED",
    ),
    (
        "E19 the host's name",
        "hostname evil && echo ESCAPED; echo evil > /proc/sys/kernel/hostname && echo ESCAPED; echo x > /proc/sys/kernel/domainname && echo ESCAPED",
    ),
    (
        "E20 interfaces",
        "ip link add x type dummy && echo ESCAPED; ifconfig lo mtu 1000 && echo ESCAPED; ip link set lo down && echo ESCAPED",
    ),
    (
        "processes of the host",
        "kill -0 PID && echo ESCAPED; ls /proc/PID && echo ESCAPED; kill -9 1; ls /proc/1 > /dev/null || echo ESCAPED",
    ),
    (
        "swap, clocks, quotas",
        "swapoff -a && [ -s /etc/fstab ] && echo ESCAPED; hwclock -w && echo ESCAPED; adjtimex -f 0 && echo ESCAPED",
    ),
    (
        "memory of pid 1",
        "echo x > /proc/1/mem && echo ESCAPED; cat /proc/1/environ && echo ESCAPED; cat /proc/1/maps && echo ESCAPED; cat /proc/1/syscall && echo ESCAPED",
    ),
];

/// How a process came to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Run,
    Build,
}

impl Way {
    fn said(self, player: &Player, script: &str) -> String {
        match self {
            Self::Run => {
                let ran = player.contained(&[], script);
                ran.stdout + &ran.stderr
            }
            Self::Build => {
                let (said, ran) = player.built(script);
                assert!(!said.is_empty() || ran.status == 0, "{}", ran.stderr);
                said
            }
        }
    }
}

/// Facts that are not as they should be.
fn wrong_facts(player: &Player, way: Way) -> Vec<String> {
    let script = FACTS.replace("HOSTFOLDER", player.path("").to_str().unwrap());
    let said = way.said(player, &script);
    let facts: BTreeMap<&str, &str> = said.lines().filter_map(|line| line.split_once('=')).collect();
    let fact = |name: &str| facts.get(name).copied().unwrap_or("(not said)").trim().to_owned();
    let mut wrong = Vec::new();
    // Of the first process, before anything is redirected.
    let descriptors: Vec<&str> = said.lines().take_while(|line| !line.contains('=')).collect();
    if descriptors != ["0", "1", "2"] {
        wrong.push(format!("{} {way:?} descriptors: {descriptors:?}", player.name));
    }
    let mut expect = |name: &str, expected: &str| {
        if fact(name) != expected {
            wrong.push(format!("{} {way:?} {name}: '{}', not '{expected}'", player.name, fact(name)));
        }
    };
    for name in ["CapInh", "CapAmb"] {
        expect(name, "0000000000000000");
    }
    for name in ["CapPrm", "CapEff", "CapBnd"] {
        expect(name, "00000000a80425fb");
    }
    expect("NoNewPrivs", if way == Way::Run { "1" } else { "0" });
    expect("Seccomp", "2");
    expect("environment", "HOME=/root PATH=/bin");
    expect("canaries", "0");
    expect("folder", "/");
    expect("unmasked", "");
    expect("terminal", "0");
    expect("devices", "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero");
    expect("umask", "0022");
    expect("oom", "500");
    expect("core", "0");
    expect("mounts", "0");
    expect("rw-sys", "0");
    let ids = fact("ids");
    let outside: u32 = ids.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let is_right = match player.name {
        "root" => ids.starts_with("0 ") && outside >= 524_288 && ids.ends_with(" 65536"),
        _ => ids.starts_with("0 ") && outside != 0,
    };
    let masked: u32 = fact("masked-count").parse().unwrap_or(0);
    let others: u32 = fact("others").parse().unwrap_or(u32::MAX);
    for (is_right, name) in [(is_right, "ids"), (masked >= 3, "masked-count"), (others <= 6, "others")] {
        if !is_right {
            wrong.push(format!("{} {way:?} {name}: '{}'", player.name, fact(name)));
        }
    }
    for name in ["written", "read"] {
        wrong.extend(facts.get(name).map(|what| format!("{} {way:?} {name}: {what}", player.name)));
    }
    for name in ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"] {
        let own = fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display().to_string();
        // A RUN is in the host's network unless it says otherwise, as in BuildKit without CNI.
        let is_shared = name == "net" && way == Way::Build;
        if (fact(&format!("ns-{name}")) == own) != is_shared {
            wrong.push(format!("{} {way:?} the namespace {name} is {own}", player.name));
        }
    }
    wrong
}

/// Recipes whose image or options are the attack: what must be refused, with the message, and what must be harmless.
fn hostile_images(player: &Player, outside: &Outside, is_whole: bool) -> (usize, Vec<String>) {
    let (mut tried, mut wrong) = (0, Vec::new());
    let out = outside.text();
    let mut judge = |id: &str, is_right: bool, said: &str| {
        tried += 1;
        if !is_right || said.contains("ESCAPED") || said.contains(CANARY) {
            wrong.push(format!("{} {id}: {said}", player.name));
        }
        wrong.extend(outside.changes().into_iter().map(|change| format!("{} {id}: {change}", player.name)));
    };
    let run = |flags: &[&str], command: &[&str]| {
        player.run(&[&["run", "--rm", "--network", "none"], flags, &["evil:1"], command].concat())
    };
    let base = super::boxes::busybox();
    let load = |parts: &[Vec<u8>], config: &serde_json::Value| {
        player.load("evil:1", &[base.clone(), tar(parts)], config).expect(0);
    };
    for number in (3..=20).step_by(if is_whole { 1 } else { 8 }) {
        load(&[], &json!({"WorkingDir": format!("/proc/self/fd/{number}")}));
        let ran = run(&[], &["sh", "-c", "pwd; cat ../../../..$0/victim", out]);
        judge("E1 a working folder behind a descriptor", ran.status != 0, &ran.stderr);
    }
    load(&[folder("dev/", 0o755), link("dev/null", "/proc/sys/kernel/core_pattern")], &json!({}));
    let ran = run(&[], &["sh", "-c", "head -c1 /proc/keys; stat -c %t:%T /dev/null"]);
    judge("E3 /dev/null is a link", ran.stdout == "1:3\n", &ran.stdout);
    load(&[folder("dev/", 0o755), file("dev/null", "x", 0o666), file("dev/.wh.zero", "", 0o644)], &json!({}));
    let ran = run(&[], &["sh", "-c", "head -c1 /proc/keys; stat -c %t:%T /dev/null"]);
    judge("E3 /dev/null is a file", ran.stdout == "1:3\n", &ran.stdout);
    for (name, target) in
        [("console", "/proc/1/mem"), ("ptmx", "/proc/sys/kernel/core_pattern"), ("pts", out), ("tty", out)]
    {
        load(&[folder("dev/", 0o755), link(&format!("dev/{name}"), target)], &json!({}));
        let ran = run(&["-t"], &["sh", "-c", "echo x > /dev/tty; tty"]);
        judge("E4 terminals behind links", ran.stdout.ends_with("/dev/pts/0\r\n"), &(ran.stdout + &ran.stderr));
    }
    for (name, target) in [("proc", "/x"), ("sys", "/x"), ("dev", out), ("dev", "/proc/self/root"), ("proc", out)] {
        load(&[folder("x/", 0o755), link(name, target)], &json!({}));
        let ran = run(&[], &["true"]);
        let told = format!("a symbolic link stands where /{name} is to be mounted");
        judge("E5 E6 /proc, /sys or /dev is a link", ran.status == 125 && ran.stderr.contains(&told), &ran.stderr);
    }
    for (target, is_refused) in
        [(out, true), ("/proc/self/root", true), ("/proc", true), ("/sys", true), ("/dev/shm", true), ("/etc", false)]
    {
        load(&[link("vol", target)], &json!({"Volumes": {"/vol": {}}}));
        let ran = run(&[], &["sh", "-c", "echo x > /vol/made"]);
        judge("E7 a volume's target is a link", !is_refused || ran.status != 0, &format!("{target} {}", ran.stderr));
        let ran = run(&["-v", "named:/vol"], &["sh", "-c", "echo x > /vol/made"]);
        judge("E7 a volume's target is a link", !is_refused || ran.status != 0, &format!("{target} {}", ran.stderr));
    }
    for target in ["/proc", "/proc/sys", "/sys/kernel", "/dev", "/dev/null"] {
        let ran = run(&["-v", &format!("{out}:{target}")], &["true"]);
        judge("E5 a bind over /proc, /sys or /dev", true, &ran.stderr);
        let ran = run(&["--tmpfs", target], &["sh", "-c", "head -c 1 /proc/keys"]);
        judge("E5 a tmpfs over /proc, /sys or /dev", ran.stdout.is_empty(), &ran.stderr);
    }
    let long = format!("/{}:/x", "a".repeat(64 << 10));
    judge("E8 a source of 64 KiB", run(&["-v", &long], &["true"]).status == 125, "");
    load(
        &[file("etc/ld.so.preload", "/p.so\n", 0o644), file("etc/nsswitch.conf", "passwd: evil\n", 0o644)],
        &json!({"User": "app"}),
    );
    let ran = run(&[], &["id", "-u"]);
    judge("E9 nothing of the image is loaded", ran.stdout == "1000\n" || ran.status == 125, &ran.stderr);
    let groups = [
        (vec![file("etc/group", vec![b'x'; 11 << 20], 0o644)], "it is larger than 10 MiB"),
        (vec![folder("etc/", 0o755), pipe("etc/passwd")], "Invalid argument"),
        (vec![link("etc/passwd", &format!("{out}/victim"))], "it lies behind a symbolic link"),
        (vec![file("etc/passwd", "app:x:-1:-1::/:", 0o644)], "the image has no user 'app'"),
    ];
    for (parts, told) in groups {
        load(&parts, &json!({"User": "app:app"}));
        let ran = run(&[], &["true"]);
        judge("E10 files of accounts that are traps", ran.status == 125 && ran.stderr.contains(told), &ran.stderr);
    }
    for user in ["-1", "4294967295", "4294967296", "0x0", "18446744073709551616", "1000:-1", "app;id", "../root"] {
        load(&[], &json!({"User": user}));
        let ran = run(&[], &["id", "-u"]);
        judge("E10 users that are none", ran.status == 125, &ran.stderr);
    }
    load(&[], &json!({"User": "app"}));
    let ran = run(&[], &["id"]);
    let is_right = ran.stdout == "uid=1000(app) gid=1001(app) groups=29(audio)\n" || player.name != "root";
    judge("E11 groups are those of the files", is_right, &ran.stdout);
    let env =
        ["PATH=/bin", "LD_PRELOAD=/proc/self/cwd/p.so", "NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=all"];
    load(
        &[file("p.so", "not a library", 0o755)],
        &json!({"Env": env, "Labels": {"cdi.k8s.io/x": "vendor.com/gpu=all"}}),
    );
    let ran = run(&[], &["sh", "-c", "ls -d /dev/nvidia* /usr/local/cuda && echo ESCAPED; echo fine"]);
    judge("E14 no hook listens to an image's variables", ran.stdout == "fine\n", &(ran.stdout + &ran.stderr));
    for name in ["../x", "a/b", "a\u{1b}[2J", "", "x\ny"] {
        judge("E19 names", run(&["--name", name], &["true"]).status == 125, name);
        judge("E19 host names", run(&["--hostname", name], &["true"]).status == 125, name);
    }
    let ran = run(&["--pids-limit", "32", "-m", "64m"], &["sh", "-c", "f() { f | f & }; f; sleep 0.2; echo ended"]);
    judge(
        "E18 a fork bomb",
        super::boxes::processes_with("f() { f | f & }; f; sleep 0.2; echo ended") == 0,
        &ran.stderr,
    );
    (tried, wrong)
}

#[test]
fn r20_what_is_inside_sees_and_changes_nothing_outside() {
    let bar = Bar::begin("R20");
    let outside = Outside::new();
    let (mut wrong, mut recipes, mut facts) = (Vec::new(), 0, 0);
    let pid = std::process::id().to_string();
    for player in Player::all() {
        for way in [Way::Run, Way::Build] {
            wrong.extend(wrong_facts(&player, way));
            facts += 1;
            // All in one process each time, or each in a sandbox of its own.
            let script = |(id, script): &(&str, &str)| {
                let script = script.replace("OUT", outside.text()).replace("PID", &pid);
                format!("echo \"## {id}\"; ( {script} ) 2>&1\n")
            };
            let scripts: Vec<String> = match bar.is_whole() {
                true => SCRIPTS.iter().map(script).collect(),
                false => vec![SCRIPTS.iter().map(script).collect()],
            };
            for script in scripts {
                let said = way.said(&player, &format!("{script}\necho done"));
                recipes += said.matches("## ").count();
                if said.contains("ESCAPED") || said.contains(CANARY) || !said.ends_with("done\n") {
                    wrong.push(format!("{} {way:?}: {said}", player.name));
                }
                wrong.extend(outside.changes());
            }
        }
        // In the test suite for one user: the sandbox's own tests have each recipe for both.
        if bar.is_whole() || player.name != "root" {
            let (tried, more) = hostile_images(&player, &outside, bar.is_whole());
            recipes += tried;
            wrong.extend(more);
        }
        // A lower layer is as it was: what is not a link or an upper's is verified.
        if player.run(&["store", "verify"]).status != 0 {
            wrong.push(format!("{}: the store is damaged", player.name));
        }
        wrong.extend(mounts_with(player.path("").to_str().unwrap()));
        let left: Vec<_> = player.left().into_iter().filter(|name| name != "volumes/named").collect();
        wrong.extend(left.into_iter().map(|name| format!("{}: {name} is left", player.name)));
    }
    assert!(recipes > 100, "{recipes}");
    wrong.iter().for_each(|what| println!("{what}"));
    let figure = format!("{} wrong in {facts} sets of facts and {recipes} tries of recipes", wrong.len());
    bar.finish(figure, wrong.is_empty());
}
