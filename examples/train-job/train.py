"""The job: learns, writes a checkpoint after each epoch, and goes on from the last one when it is started again.

Everything that decides the result is in a checkpoint or follows from its epoch, so a run that was killed and started
again ends with the same bytes as one that was not.

| variable | default | |
|---|---|---|
| EPOCHS | 30 | how often the whole set is seen |
| LR | 0.05 | step size |
| BATCH | 32 | examples per step |
| HIDDEN | 64 | width of the hidden layer |
| SEED | 0 | of the first weights and of each epoch's order |
| DATA | /data | where digits.csv.gz lies |
| CHECKPOINTS | /checkpoints | where model.safetensors is written |
"""

import json
import os
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from digits import Digits, read

MOMENTUM = 0.9


@dataclass(frozen=True)
class Settings:
    """What decides the result; a checkpoint of other settings is refused."""

    lr: float
    batch: int
    hidden: int
    seed: int

    @classmethod
    def of(cls, variables) -> "Settings":
        return cls(
            lr=positive(float, variables, "LR", "0.05"),
            batch=positive(int, variables, "BATCH", "32"),
            hidden=positive(int, variables, "HIDDEN", "64"),
            seed=int(variables.get("SEED", "0")),
        )


def positive(kind, variables, name, default):
    text = variables.get(name, default)
    try:
        value = kind(text)
        if value > 0:
            return value
    except ValueError:
        pass
    sys.exit(f"{name}={text!r}: a positive number is needed")


class Network:
    """64 pixels, one hidden layer, ten digits; with the momentum of each weight."""

    def __init__(self, tensors: dict[str, np.ndarray]) -> None:
        self.tensors = tensors

    @classmethod
    def new(cls, settings: Settings) -> "Network":
        random = np.random.default_rng(settings.seed)
        widths = [64, settings.hidden, 10]
        tensors = {}
        for layer, (rows, columns) in enumerate(zip(widths, widths[1:])):
            scale = np.sqrt(2 / rows)
            tensors[f"{layer}.weight"] = (random.standard_normal((columns, rows)) * scale).astype(np.float32)
            tensors[f"{layer}.bias"] = np.zeros(columns, np.float32)
        tensors |= {f"momentum.{name}": np.zeros_like(tensor) for name, tensor in tensors.items()}
        return cls(tensors)

    def hidden(self, pixels: np.ndarray) -> np.ndarray:
        return np.maximum(pixels @ self.tensors["0.weight"].T + self.tensors["0.bias"], 0)

    def probabilities(self, hidden: np.ndarray) -> np.ndarray:
        scores = hidden @ self.tensors["1.weight"].T + self.tensors["1.bias"]
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def step(self, pixels: np.ndarray, labels: np.ndarray, lr: float) -> None:
        """One step down the gradient of the cross entropy."""
        hidden = self.hidden(pixels)
        error = self.probabilities(hidden)
        error[np.arange(len(labels)), labels] -= 1
        error /= len(labels)
        below = (error @ self.tensors["1.weight"]) * (hidden > 0)
        slopes = {"1.weight": error.T @ hidden, "1.bias": error.sum(0), "0.weight": below.T @ pixels, "0.bias": below.sum(0)}
        for name, slope in slopes.items():
            momentum = self.tensors[f"momentum.{name}"]
            momentum *= MOMENTUM
            momentum -= np.float32(lr) * slope
            self.tensors[name] += momentum

    def accuracy(self, digits: Digits) -> float:
        found = self.probabilities(self.hidden(digits.pixels)).argmax(axis=1)
        return float((found == digits.labels).mean())


class Checkpoint:
    """One file, replaced as a whole: whenever the job is killed, there is the old one or the new one."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.path, self.settings = folder / "model.safetensors", settings

    def load(self) -> tuple[int, Network]:
        """How many epochs are done, and what they learned."""
        if not self.path.exists():
            return 0, Network.new(self.settings)
        with safe_open(self.path, "np") as file:
            state = json.loads((file.metadata() or {}).get("state", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        epoch = state.pop("epoch", 0)
        if state != asdict(self.settings):
            sys.exit(f"{self.path} was made with {state}, not with {asdict(self.settings)}: take another folder")
        return epoch, Network(tensors)

    def save(self, epoch: int, network: Network) -> None:
        state = json.dumps({"epoch": epoch, **asdict(self.settings)}, sort_keys=True)
        new = self.path.with_suffix(".new")
        with open(new, "wb") as file:
            file.write(save(network.tensors, {"state": state}))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)


def main() -> None:
    # Process 1 of a container has no default for SIGTERM. What the last checkpoint has stays.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    settings = Settings.of(os.environ)
    epochs = positive(int, os.environ, "EPOCHS", "30")
    train, held_out = read(Path(os.environ.get("DATA", "/data")) / "digits.csv.gz")
    checkpoint = Checkpoint(Path(os.environ.get("CHECKPOINTS", "/checkpoints")), settings)
    done, network = checkpoint.load()
    if done:
        print(f"going on after epoch {done}")
    for epoch in range(done + 1, epochs + 1):
        order = np.random.default_rng([settings.seed, epoch]).permutation(len(train.labels))
        for at in range(0, len(order), settings.batch):
            some = order[at : at + settings.batch]
            network.step(train.pixels[some], train.labels[some], settings.lr)
        checkpoint.save(epoch, network)
        print(f"epoch {epoch}: {network.accuracy(held_out):.4f} of the held-out digits", flush=True)
    print(json.dumps({"epochs": max(done, epochs), "accuracy": round(network.accuracy(held_out), 4)}))


if __name__ == "__main__":
    main()
