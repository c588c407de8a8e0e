"""Trains the model: Debian's package descriptions to sections.

    uv run --group train train.py

Fetches two indexes of bookworm (15 MB), keeps each source package on one side of the split (binary packages of one
source share most of their description), and writes weights/sections.onnx, metrics.json and tests/held-out.jsonl.gz.
"""

import gzip
import hashlib
import json
import lzma
import urllib.request
import zlib
from pathlib import Path

import numpy as np
import onnx
import scipy.sparse
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import SGDClassifier

from features import BUCKETS, features

ARCHIVE = "http://deb.debian.org/debian/dists/bookworm/main/"
SECTIONS = """admin database devel editors electronics fonts games gnu-r golang graphics haskell interpreters java
javascript libs lisp mail math net ocaml perl php python ruby rust science sound text utils video web x11""".split()
HERE = Path(__file__).parent
SAMPLE = 1_500  # held-out texts that are committed for the test


def fetch(path: str, sources: dict[str, str]) -> str:
    with urllib.request.urlopen(ARCHIVE + path) as answer:
        packed = answer.read()
    sources[ARCHIVE + path] = hashlib.sha256(packed).hexdigest()
    return lzma.decompress(packed).decode()


def stanzas(text: str):
    for stanza in text.split("\n\n"):
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line.startswith(" "):
                fields[key] += "\n" + ("" if line == " ." else line[1:])
            elif ":" in line:
                key, _, value = line.partition(":")
                fields[key] = value.strip()
        if fields:
            yield fields


def examples(sources: dict[str, str]):
    """(source package, section, description), one for each description."""
    translations = stanzas(fetch("i18n/Translation-en.xz", sources))
    descriptions = {fields["Description-md5"]: fields["Description-en"] for fields in translations}
    seen = set()
    for fields in stanzas(fetch("binary-amd64/Packages.xz", sources)):
        text = descriptions.get(fields.get("Description-md5", ""))
        if text and text not in seen and fields["Section"] in SECTIONS:
            seen.add(text)
            yield fields.get("Source", fields["Package"]).split()[0], fields["Section"], text


def is_held_out(source: str) -> bool:
    return zlib.crc32(source.encode()) % 5 == 0


def matrix(texts: list[str]) -> scipy.sparse.csr_matrix:
    rows = [features(text) for text in texts]
    starts = np.cumsum([0, *(len(buckets) for buckets, _ in rows)])
    indices = np.concatenate([np.asarray(buckets, np.int32) for buckets, _ in rows])
    values = np.concatenate([np.asarray(values, np.float32) for _, values in rows])
    return scipy.sparse.csr_matrix((values, indices, starts), shape=(len(rows), BUCKETS))


def weighed(counts: scipy.sparse.csr_matrix, idf: np.ndarray) -> scipy.sparse.csr_matrix:
    scaled = counts.multiply(idf).tocsr()
    length = np.sqrt(scaled.multiply(scaled).sum(axis=1)).A1 + 1e-9
    return scipy.sparse.diags(1 / length) @ scaled


def graph(idf: np.ndarray, coefficients: np.ndarray, bias: np.ndarray, labels: list[str]) -> onnx.ModelProto:
    """softmax(sum over a text's buckets of tf * idf / |tf * idf| * coefficient + bias), coefficients as int8."""
    scale = np.abs(coefficients).max(axis=1) / 127
    table = np.rint(coefficients / scale[:, None]).astype(np.int8).T
    constants = {
        "idf": idf.astype(np.float32),
        "table": table,
        "scale": scale.astype(np.float32),
        "bias": bias.astype(np.float32),
        "terms": np.array([1], np.int64),
        "tiny": np.array(1e-9, np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["idf", "indices"], ["rarity"]),
        node("Mul", ["weights", "rarity"], ["tfidf"]),
        node("ReduceL2", ["tfidf", "terms"], ["norm"], keepdims=1),
        node("Add", ["norm", "tiny"], ["length"]),
        node("Div", ["tfidf", "length"], ["unit"]),
        node("Unsqueeze", ["unit", "terms"], ["row"]),
        node("Gather", ["table", "indices"], ["bytes"]),
        node("Cast", ["bytes"], ["coefficients"], to=TensorProto.FLOAT),
        node("MatMul", ["row", "coefficients"], ["sums"]),
        node("Squeeze", ["sums", "terms"], ["sum"]),
        node("Mul", ["sum", "scale"], ["scaled"]),
        node("Add", ["scaled", "bias"], ["logits"]),
        node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    shape = ["texts", "terms"]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "sections",
            [
                helper.make_tensor_value_info("indices", TensorProto.INT64, shape),
                helper.make_tensor_value_info("weights", TensorProto.FLOAT, shape),
            ],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["texts", len(labels)])],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    helper.set_model_props(model, {"labels": json.dumps(labels)})
    onnx.checker.check_model(model, full_check=True)
    return model


def write_sample(held_out: list[tuple[str, str, str]]) -> None:
    sample = sorted(held_out, key=lambda example: hashlib.sha256(example[2].encode()).digest())[:SAMPLE]
    lines = "".join(json.dumps({"section": section, "text": text}) + "\n" for _, section, text in sample)
    (HERE / "tests/held-out.jsonl.gz").write_bytes(gzip.compress(lines.encode(), 9, mtime=0))


def main() -> None:
    sources: dict[str, str] = {}
    every = list(examples(sources))
    train = [example for example in every if not is_held_out(example[0])]
    held_out = [example for example in every if is_held_out(example[0])]

    counts = matrix([text for _, _, text in train])
    documents = np.bincount(counts.indices, minlength=BUCKETS)
    idf = np.log((1 + len(train)) / (1 + documents)) + 1
    sections = [section for _, section, _ in train]
    linear = SGDClassifier(loss="log_loss", alpha=2e-6, max_iter=30, tol=None, average=True, random_state=0)
    linear.fit(weighed(counts, idf), sections)

    labels = [str(label) for label in linear.classes_]
    onnx.save(graph(idf, linear.coef_, linear.intercept_, labels), HERE / "weights/sections.onnx")

    from classifier import Classifier  # the model as it is served judges itself

    found = Classifier().classify([text for _, _, text in held_out])
    right = sum(label == section for (label, _), (_, section, _) in zip(found, held_out))
    commonest = max(sections.count(section) for section in SECTIONS) / len(sections)
    metrics = {
        "train_texts": len(train),
        "held_out_texts": len(held_out),
        "sections": len(labels),
        "held_out_accuracy": round(right / len(held_out), 4),
        "commonest_section": round(commonest, 4),
        "sources": sources,
    }
    (HERE / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    write_sample(held_out)
    print(json.dumps(metrics, indent=2))


if __name__ == "__main__":
    main()
