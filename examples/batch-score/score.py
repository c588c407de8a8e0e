"""The model: a logistic regression over thirty measurements of a cell's nucleus (see fit.py)."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

MODEL = Path(__file__).parent / "model.json"


class WrongTable(Exception):
    """A table that cannot be scored, and why."""


class Model:
    def __init__(self, path: Path = MODEL) -> None:
        model = json.loads(path.read_text())
        self.columns: list[str] = model["columns"]
        self._mean, self._deviation, self._weights = (np.array(model[name]) for name in ["mean", "deviation", "weights"])
        self._bias: float = model["bias"]

    def score(self, table: pd.DataFrame) -> pd.Series:
        """For each row, how likely the sample is malignant."""
        missing = [column for column in self.columns if column not in table.columns]
        if missing:
            raise WrongTable(f"no column {missing[0]!r}" + (f" and {len(missing) - 1} others" if missing[1:] else ""))
        try:
            values = table[self.columns].to_numpy(dtype=float)
        except ValueError as error:
            raise WrongTable(str(error)) from error
        if not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0][0])
            raise WrongTable(f"row {table.index[row] + 1} lacks a number")
        logits = (values - self._mean) / self._deviation @ self._weights + self._bias
        return pd.Series(1 / (1 + np.exp(-logits)), index=table.index, name="malignant")
