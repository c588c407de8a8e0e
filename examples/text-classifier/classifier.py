"""The model: an ONNX graph from hashed features to probabilities (see train.py)."""

import json
from pathlib import Path

import onnxruntime

from features import batch

MODEL = Path(__file__).parent / "weights" / "sections.onnx"
AT_ONCE = 16  # texts; bounds the memory of a request


class Classifier:
    def __init__(self, model: Path = MODEL) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.labels: list[str] = json.loads(self._session.get_modelmeta().custom_metadata_map["labels"])

    def classify(self, texts: list[str]) -> list[tuple[str, float]]:
        """The likeliest section of each text, with its probability."""
        return [found for at in range(0, len(texts), AT_ONCE) for found in self._few(texts[at : at + AT_ONCE])]

    def _few(self, texts: list[str]) -> list[tuple[str, float]]:
        indices, weights = batch(texts)
        (probabilities,) = self._session.run(None, {"indices": indices, "weights": weights})
        best = probabilities.argmax(axis=1)
        return [(self.labels[label], float(row[label])) for label, row in zip(best, probabilities)]
