//! R20: what a process inside RUN and `corten run` has and sees, and the recipes of the catalogue's part E that try to get out.

use std::collections::BTreeMap;
use std::fs;

use corten_testkit::bar::Bar;

use super::boxes::{CANARY, Outside, Player, mounts_with};
use super::evil::Trial;

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

/// What scripts got that they should not, in one sandbox.
fn wrong_scripts(player: &Player, way: Way, outside: &Outside, scripts: &[&(&str, &str)]) -> Vec<String> {
    let pid = std::process::id().to_string();
    let whole: String = scripts
        .iter()
        .map(|(id, script)| {
            let script = script.replace("OUT", outside.text()).replace("PID", &pid);
            format!("echo \"## {id}\"; ( {script} ) 2>&1\n")
        })
        .collect();
    let said = way.said(player, &format!("{whole}\necho done"));
    let is_wrong = said.contains("ESCAPED") || said.contains(CANARY) || !said.ends_with("done\n");
    let mut wrong = if is_wrong { vec![format!("{} {way:?}: {said}", player.name)] } else { Vec::new() };
    if said.matches("## ").count() < scripts.len() {
        wrong.push(format!("{} {way:?}: not all of them ran: {said}", player.name));
    }
    wrong.extend(outside.changes());
    wrong
}

/// The recipes of one id, as root and nobody, inside RUN and `run`, and as images and options.
fn recipe(id: &str) {
    let outside = Outside::new();
    let scripts: Vec<_> = SCRIPTS.iter().filter(|(name, _)| name.split(' ').next() == Some(id)).collect();
    let mut tried = 0;
    for player in Player::all() {
        let mut wrong = Vec::new();
        for way in [Way::Run, Way::Build].into_iter().filter(|_| !scripts.is_empty()) {
            wrong.extend(wrong_scripts(&player, way, &outside, &scripts));
            tried += scripts.len();
        }
        let mut trial = Trial::new(&player, &outside, false);
        trial.all(id);
        tried += trial.tried;
        wrong.append(&mut trial.wrong);
        wrong.extend(mounts_with(player.path("").to_str().unwrap()));
        assert_eq!(wrong, [""; 0], "{id}");
        assert_eq!(player.run(&["store", "verify"]).status, 0, "{id}");
    }
    assert!(tried > 0, "{id} has no recipe");
}

#[test]
fn r20_what_is_inside_sees_and_changes_nothing_outside() {
    let bar = Bar::begin("R20");
    let outside = Outside::new();
    let (mut wrong, mut recipes, mut facts) = (Vec::new(), 0, 0);
    for player in Player::all() {
        for way in [Way::Run, Way::Build] {
            wrong.extend(wrong_facts(&player, way));
            facts += 1;
            // Each in a sandbox of its own; in the test suite all in one process, and each again in the test of its id.
            let scripts: Vec<Vec<&(&str, &str)>> = match bar.is_whole() {
                true => SCRIPTS.iter().map(|one| vec![one]).collect(),
                false => vec![SCRIPTS.iter().collect()],
            };
            for scripts in scripts {
                recipes += scripts.len();
                wrong.extend(wrong_scripts(&player, way, &outside, &scripts));
            }
        }
        if bar.is_whole() {
            let mut trial = Trial::new(&player, &outside, true);
            trial.all("");
            recipes += trial.tried;
            wrong.append(&mut trial.wrong);
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

#[test]
fn e1_descriptors_and_folders_lead_nowhere() {
    recipe("E1");
}

#[test]
fn e2_our_own_program_is_neither_written_nor_read() {
    recipe("E2");
}

#[test]
fn e3_null_devices_of_images_mask_nothing() {
    recipe("E3");
}

#[test]
fn e4_links_in_place_of_terminals_lead_nowhere() {
    recipe("E4");
}

#[test]
fn e5_settings_of_the_kernel_stay() {
    recipe("E5");
}

#[test]
fn e6_devices_are_not_made_and_dev_is_no_link() {
    recipe("E6");
}

#[test]
fn e7_targets_of_volumes_stay_inside() {
    recipe("E7");
}

#[test]
fn e8_a_source_of_64_kib_is_an_error() {
    recipe("E8");
}

#[test]
fn e9_nothing_of_an_image_is_loaded() {
    recipe("E9");
}

#[test]
fn e10_accounts_that_are_traps_are_errors() {
    recipe("E10");
}

#[test]
fn e11_groups_are_those_of_the_files() {
    recipe("E11");
}

#[test]
fn e12_children_get_no_capabilities() {
    recipe("E12");
}

#[test]
fn e13_calls_that_are_not_for_containers_fail() {
    recipe("E13");
}

#[test]
fn e14_no_hook_listens_to_an_image() {
    recipe("E14");
}

#[test]
fn e15_cgroups_are_out_of_reach() {
    recipe("E15");
}

#[test]
fn e16_the_engines_socket_is_out_of_reach() {
    recipe("E16");
}

#[test]
fn e17_lower_layers_stay() {
    recipe("E17");
}

#[test]
fn e18_bombs_end_and_nobody_is_spared() {
    recipe("E18");
}

#[test]
fn e19_names_are_letters_and_digits() {
    recipe("E19");
}

#[test]
fn e20_interfaces_stay_and_ports_are_the_loopbacks() {
    recipe("E20");
}
