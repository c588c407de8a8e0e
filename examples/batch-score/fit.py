"""Makes model.json and tests/data: `uv run --group train python fit.py`. Not in the image."""

import json
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

HERE = Path(__file__).parent


def main() -> None:
    found = load_breast_cancer(as_frame=True)
    table, malignant = found.data, (found.target == 0).astype(int)
    train, held_out, labels, held_out_labels = train_test_split(table, malignant, test_size=150, random_state=0, stratify=malignant)
    mean, deviation = train.mean(), train.std()
    fitted = LogisticRegression(C=0.5, max_iter=1000).fit((train - mean) / deviation, labels)
    model = {
        "columns": list(table.columns),
        "mean": [round(number, 6) for number in mean],
        "deviation": [round(number, 6) for number in deviation],
        "weights": [round(number, 6) for number in fitted.coef_[0]],
        "bias": round(float(fitted.intercept_[0]), 6),
    }
    (HERE / "model.json").write_text(json.dumps(model, indent=1) + "\n")
    folder = HERE / "tests" / "data"
    folder.mkdir(parents=True, exist_ok=True)
    held_out.insert(0, "id", [f"s{index}" for index in held_out.index])
    held_out[:100].to_csv(folder / "first.csv", index=False)
    held_out[100:].to_csv(folder / "second.csv.gz", index=False, compression={"method": "gzip", "mtime": 0})
    answers = pd.DataFrame({"id": held_out["id"], "malignant": held_out_labels})
    answers.to_csv(folder.parent / "answers.csv", index=False)


if __name__ == "__main__":
    main()
