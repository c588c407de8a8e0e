"""Text to features: words and pairs of neighbours, hashed. Used alike for training and for serving."""

import math
import re
import zlib
from collections import Counter

import numpy as np

BUCKETS = 1 << 16
LONGEST = 20_000  # characters of a text that are looked at

_WORD = re.compile(r"[a-z][a-z0-9+#]*")


def features(text: str) -> tuple[list[int], list[float]]:
    """The buckets of a text, ascending, each with 1 + log(count)."""
    words = _WORD.findall(text[:LONGEST].lower())
    tokens = words + [f"{left} {right}" for left, right in zip(words, words[1:])]
    counts = Counter(zlib.crc32(token.encode()) % BUCKETS for token in tokens)
    buckets = sorted(counts)
    return buckets, [1 + math.log(counts[bucket]) for bucket in buckets]


def batch(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Buckets (int64) and weights (float32), one row per text, padded with bucket 0 of weight 0."""
    rows = [features(text) for text in texts]
    width = max([1, *(len(buckets) for buckets, _ in rows)])
    indices = np.zeros((len(rows), width), np.int64)
    weights = np.zeros((len(rows), width), np.float32)
    for row, (buckets, values) in enumerate(rows):
        indices[row, : len(buckets)] = buckets
        weights[row, : len(values)] = values
    return indices, weights
