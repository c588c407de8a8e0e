"""What the benches share: what a program cost, the programs themselves, Corten with stores of its own, the table."""

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Cost:
    """What one run of a program cost, with all its children: CPU and wall in seconds, memory (VmHWM) in MB."""

    cpu: float
    wall: float
    memory: float
    out: str = ""
    fastest: float = 0.0


def spend(command, cwd=None, env=None, quiet=True) -> Cost:
    """Runs a command; its cost, or an end of everything with what it said."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        child = subprocess.Popen([str(word) for word in command], cwd=cwd, env=env, stdout=out, stderr=err)
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    if child.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nended with {child.returncode}:\n{texts[0]}{texts[1]}")
    return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024, texts[0])


def have_memory(size=6 << 30):
    """Takes memory from the host of a virtual machine, which gives it at the first touch and takes it back soon: else who runs
    first pays for all, and a file in the disk's cache costs several times what copying it does."""
    code = "import mmap, sys; mmap.mmap(-1, int(sys.argv[1]), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)"
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    subprocess.run([sys.executable, "-c", code, str(min(size, free // 2))], check=True)


def median(costs) -> Cost:
    """Median of each number, and the fastest; the memory is the largest."""
    middle = lambda name: statistics.median(getattr(cost, name) for cost in costs)
    memory = max(cost.memory for cost in costs)
    return Cost(middle("cpu"), middle("wall"), memory, costs[-1].out, min(cost.wall for cost in costs))


def say(text):
    print(f"… {text}", file=sys.stderr, flush=True)


# ── programs ────────────────────────────────────────────────────────────────────────────────────────────────────────


def build_programs():
    """corten and the example that measures the bound: from this checkout, as released."""
    say("cargo build --release")
    for words in (["-p", "corten"], ["-p", "corten-layer", "--example", "convert"]):
        if subprocess.run(["cargo", "build", "--quiet", "--release", *words], cwd=ROOT, check=False).returncode:
            sys.exit(f"cargo build --release {' '.join(words)} failed")


def built_programs():
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    return target / "corten", target / "examples" / "convert"


def peer(program) -> Path:
    say(f"cargo xtask peers {program}")
    command = ["cargo", "run", "--quiet", "-p", "xtask", "--", "peer-path", program]
    environment = {"CORTEN_PEERS": str(ROOT / ".peers"), **os.environ}
    said = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    return Path(said.strip())


# ── projects ────────────────────────────────────────────────────────────────────────────────────────────────────────


def run(command, cwd, executable=None):
    done = subprocess.run(command, cwd=cwd, executable=executable, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def commit(folder: Path):
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    if not (folder / ".git").exists():
        run(["git", "init", "-q"], folder)
    run(["git", *identity, "add", "."], folder)
    run(["git", *identity, "commit", "-q", "--allow-empty", "-m", "bench"], folder)


def copy_example(name: str, folder: Path):
    """An example as it is, in a repository of its own."""
    ignored = shutil.ignore_patterns("__pycache__", ".venv", ".pytest_cache", "corten.lock")
    shutil.copytree(ROOT / "examples" / name, folder, ignore=ignored)
    commit(folder)


def locked_wheels(project: Path, store: Path, folder: Path) -> list[Path]:
    """The wheels of the lock that the store has, under their own names, as links."""
    folder.mkdir()
    lock = tomllib.loads((project / "uv.lock").read_text())
    for wheel in (wheel for package in lock["package"] for wheel in package.get("wheels", [])):
        blob = store / "blobs/sha256" / wheel["hash"].removeprefix("sha256:")
        name = wheel["url"].rsplit("/", 1)[-1].replace("%2B", "+")
        if blob.exists() and not (folder / name).exists():
            os.link(blob, folder / name)
    return sorted(folder.iterdir())


# ── Corten ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Corten:
    """Builds with stores of its own."""

    def __init__(self, program: Path, work: Path):
        self.program, self.work = program, work

    def build(self, project: Path, store: Path, *more, offline=True, before=()) -> Cost:
        """`corten build`, with `before` (`taskset …`) in front."""
        return self.run("build", project, store, "--format", "json", *more, offline=offline, before=before)

    def run(self, verb: str, project: Path, store: Path, *more, offline=True, before=()) -> Cost:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("CORTEN_")}
        environment["CORTEN_HOME"] = str(store)
        flags = ["--offline"] if offline else []
        return spend([*before, self.program, verb, project, *flags, *more], env=environment)

    def store_with(self, base: Path, wheels: list[Path], name: str) -> Path:
        """A store with the layers of `base` and the wheels, and nothing of what was made of them."""
        store = self.work / name
        shutil.rmtree(store, ignore_errors=True)
        shutil.copytree(base, store, copy_function=link_blob, ignore=shutil.ignore_patterns("tmp"))
        for wheel in wheels:
            place = store / "blobs/sha256" / digest_of(wheel)
            if not place.exists():
                os.link(wheel, place)
        return store


def link_blob(source, target):
    """Blobs are never written to, so a link is as good as a copy."""
    if "/blobs/" in source:
        os.link(source, target)
    else:
        shutil.copy2(source, target)


DIGESTS: dict[Path, str] = {}


def digest_of(path: Path) -> str:
    if path not in DIGESTS:
        DIGESTS[path] = run(["sha256sum", path], None).split()[0]
    return DIGESTS[path]


# ── BuildKit ────────────────────────────────────────────────────────────────────────────────────────────────────────

IMAGE = "type=image,name=bench.local/bench:1,push=false"


class BuildKit:
    """A buildkitd of our own, as root, whose CPU is counted with the client's."""

    def __init__(self, daemon: Path, client: Path, work: Path):
        self.client, self.root = client, work / "buildkit"
        self.root.mkdir()
        self.address = f"unix://{self.root}/sock"
        flags = ["--root", self.root / "root", "--addr", self.address, "--oci-worker-net=host"]
        flags += ["--oci-worker-snapshotter=overlayfs", "--oci-worker-gc=false", "--containerd-worker=false"]
        self.log = open(self.root / "log", "wb")
        environment = {**os.environ, "OTEL_SDK_DISABLED": "true"}
        self.daemon = subprocess.Popen([daemon, *map(str, flags)], stdout=self.log, stderr=self.log, env=environment)
        for _ in range(100):
            asked = [client, "--addr", self.address, "debug", "workers"]
            if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.1)
        self.stop()
        sys.exit(f"buildkitd does not answer:\n{(self.root / 'log').read_text()}")

    def stop(self):
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait()
        self.log.close()

    def cpu(self) -> float:
        """Seconds of the daemon and of the children that it has waited for."""
        fields = Path(f"/proc/{self.daemon.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        status = Path(f"/proc/{self.daemon.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024

    def build(self, project: Path, contexts: dict[str, Path], base: str, *more, output: str | None = IMAGE) -> Cost:
        """A build of `Dockerfile.bench`; `base`: an OCI layout and a digest in it, with an @ between."""
        command = [self.client, "--addr", self.address, "build", "--progress=quiet", "--frontend=dockerfile.v0"]
        command += ["--local", f"context={project}", "--local", f"dockerfile={project}"]
        command += ["--opt", "filename=Dockerfile.bench"]
        for name, folder in contexts.items():
            command += ["--local", f"{name}={folder}", "--opt", f"context:{name}=local:{name}"]
        layout, digest = base.split("@", 1)
        command += ["--oci-layout", f"base={layout}", "--opt", f"context:base=oci-layout://base@{digest}"]
        command += ["--output", output] if output else []
        command += more
        before = self.cpu()
        cost = spend(command)
        return Cost(cost.cpu + self.cpu() - before, cost.wall, max(cost.memory, self.memory()))


# ── containers ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Container:
    """What runs in an image that umoci has unpacked: its user, a root that is only read, no privileges, no network."""

    def __init__(self, layout: Path, folder: Path):
        run(["umoci", "unpack", "--image", f"{layout}:1", folder], None)
        self.folder, self.config = folder, json.loads((folder / "config.json").read_text())

    def run(self, command: list[str], mounts: dict[str, Path], variables=()) -> Cost:
        """Runs a command to its good end, with folders of this machine at paths of the image."""
        config = json.loads(json.dumps(self.config))
        config["root"]["readonly"] = True
        config["process"].update(terminal=False, capabilities={}, args=command)
        config["process"]["env"] += variables
        kept = [mount for mount in config["mounts"] if mount["destination"] != "/sys/fs/cgroup"]
        kept.append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]})
        for path, folder in mounts.items():
            kept.append({"destination": path, "type": "bind", "source": str(folder), "options": ["bind", "ro"]})
        config["mounts"] = kept
        (self.folder / "config.json").write_text(json.dumps(config))
        runc = ["runc", "--root", self.folder / "state", "run", "--bundle", self.folder]
        return spend([*runc, f"corten-bench-{os.getpid()}"])


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────────


def number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def ratio(theirs: float | None, ours: float) -> str:
    return f"{theirs / ours:.1f}×" if theirs and ours else ""


def aligned(lines: list[list[str]]):
    """Prints a table: the first two columns and the last to the left, numbers to the right."""
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    for line in lines:
        left = [line[0].ljust(widths[0]), line[1].ljust(widths[1])]
        right = [cell.rjust(width) for cell, width in zip(line[2:-1], widths[2:-1])]
        print("  ".join([*left, *right, line[-1]]).rstrip())


def marked(targets: list[tuple[str, bool]]) -> str:
    return ", ".join(f"{text} {'✓' if met else 'MISSED'}" for text, met in targets)


def at_most(text: str, value: float, most: float) -> tuple[str, bool]:
    return text, value <= most
