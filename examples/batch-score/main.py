"""The job: scores every table of the folder DATA (/data) into the folder RESULTS (/results), and ends.

A table is read and written in pieces, so that its size does not matter, and its result appears when it is whole. Tables
whose result is there are left alone, so a job that was stopped goes on where it was. The status is 1 when a table could
not be scored; the others are scored all the same.
"""

import json
import os
import sys
from pathlib import Path

import pandas as pd

from score import Model, WrongTable

ROWS_AT_ONCE = 10_000


def score_table(model: Model, source: Path, target: Path) -> int:
    """Writes `target`: id and probability of each row. How many rows."""
    new = target.with_name(f".{target.name}.new")
    rows = 0
    try:
        with open(new, "w", encoding="utf-8", newline="") as file, pd.read_csv(source, chunksize=ROWS_AT_ONCE) as pieces:
            for piece in pieces:
                identity = piece["id"] if "id" in piece else pd.Series(piece.index + 1, index=piece.index, name="id")
                scored = pd.concat([identity, model.score(piece).round(6)], axis=1)
                scored.to_csv(file, header=rows == 0, index=False, lineterminator="\n")
                rows += len(piece)
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)
    return rows


def main() -> int:
    data, results = (Path(os.environ.get(name, path)) for name, path in [("DATA", "/data"), ("RESULTS", "/results")])
    model = Model()
    tables = sorted([*data.glob("*.csv"), *data.glob("*.csv.gz")])
    if not tables:
        print(f"{data} holds no .csv and no .csv.gz: mount the folder with the tables there", file=sys.stderr)
        return 1
    summary = {"tables": 0, "rows": 0, "already": 0, "failed": 0}
    for source in tables:
        target = results / (source.name.removesuffix(".gz").removesuffix(".csv") + ".scored.csv")
        if target.exists():
            summary["already"] += 1
            continue
        try:
            summary["rows"] += score_table(model, source, target)
            summary["tables"] += 1
        except (WrongTable, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, EOFError) as error:
            print(f"{source}: {error}", file=sys.stderr)
            summary["failed"] += 1
    print(json.dumps(summary))
    return 1 if summary["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
