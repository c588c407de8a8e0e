"""The committed model on texts that it was not trained on, whose source packages it has never seen either."""

import gzip
import json
from pathlib import Path

import pytest

from classifier import Classifier
from features import BUCKETS, batch, features

HERE = Path(__file__).parent
HELD_OUT = [json.loads(line) for line in gzip.open(HERE / "held-out.jsonl.gz", "rt", encoding="utf-8")]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier()


def test_accuracy_on_held_out_texts(classifier):
    assert len(HELD_OUT) >= 1_000
    found = classifier.classify([example["text"] for example in HELD_OUT])
    right = sum(label == example["section"] for (label, _), example in zip(found, HELD_OUT))
    accuracy = right / len(HELD_OUT)
    claimed = json.loads((HERE.parent / "metrics.json").read_text())
    assert claimed["train_texts"] >= 20_000
    assert accuracy > 0.77
    assert abs(accuracy - claimed["held_out_accuracy"]) < 0.03


def test_a_text_gives_the_same_alone_and_in_a_batch(classifier):
    texts = ["fast matrix library", "", "a puzzle game with penguins", "x" * 50_000]
    together = classifier.classify(texts)
    alone = [classifier.classify([text])[0] for text in texts]
    assert [label for label, _ in together] == [label for label, _ in alone]
    assert all(abs(a - b) < 1e-5 for (_, a), (_, b) in zip(together, alone))
    assert classifier.classify([]) == []


def test_features_are_the_same_on_every_machine():
    crc32_of_a = 0xE8B7BE43
    assert features("A") == ([crc32_of_a % BUCKETS], [1.0])
    assert dict(zip(*features("a, A!")))[crc32_of_a % BUCKETS] == pytest.approx(1.6931472)
    assert len(features("one C++ word")[0]) == 5
    indices, weights = batch(["", "one"])
    assert indices.shape == (2, 1) and weights.tolist() == [[0.0], [1.0]]
