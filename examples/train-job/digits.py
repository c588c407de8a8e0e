"""1,797 handwritten digits of 8 × 8 pixels (see README.md for where they come from)."""

import gzip
from pathlib import Path
from typing import NamedTuple

import numpy as np

HELD_OUT = 360  # the last ones: other writers than the first


class Digits(NamedTuple):
    pixels: np.ndarray
    labels: np.ndarray


def read(path: Path) -> tuple[Digits, Digits]:
    """Those to learn from, and those that are held out. A row is 64 pixels of 0 to 16 and the digit."""
    with gzip.open(path, "rt") as file:
        rows = np.loadtxt(file, delimiter=",", dtype=np.float32, ndmin=2)
    if rows.shape[1:] != (65,) or len(rows) <= HELD_OUT:
        raise SystemExit(f"{path}: {rows.shape[0]} rows of {rows.shape[1]} numbers, not more than {HELD_OUT} of 65")
    digits = Digits(rows[:, :64] / 16, rows[:, 64].astype(np.int64))
    return Digits(*(part[:-HELD_OUT] for part in digits)), Digits(*(part[-HELD_OUT:] for part in digits))
