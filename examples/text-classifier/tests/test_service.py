"""Alive at once, ready only when the model has answered."""

import threading

import pytest
from fastapi.testclient import TestClient

import main


@pytest.fixture
def gate(monkeypatch):
    """Holds the model back until it is set."""
    gate = threading.Event()
    load = main.Model.load

    def held(self):
        gate.wait(timeout=60)
        load(self)
        loaded.set()

    loaded = threading.Event()
    gate.loaded = loaded
    monkeypatch.setattr(main.Model, "load", held)
    monkeypatch.setattr(main, "model", main.Model())
    yield gate
    gate.set()


def test_health_at_once_and_ready_when_warm(gate):
    with TestClient(main.app) as client:
        assert client.get("/health").status_code == 200
        cold = client.get("/ready")
        assert (cold.status_code, cold.headers["retry-after"]) == (503, "1")
        assert client.post("/classify", json={"texts": ["x"]}).status_code == 503

        gate.set()
        assert gate.loaded.wait(timeout=60)
        assert client.get("/ready").status_code == 200
        texts = ["command line mail client with IMAP support", "arcade game with penguins"]
        labels = client.post("/classify", json={"texts": texts}).json()["labels"]
        assert [label["section"] for label in labels] == ["mail", "games"]
        assert all(0 < label["probability"] <= 1 for label in labels)
        for wrong in ({}, {"texts": []}, {"texts": ["x"] * 257}, {"texts": ["x" * 20_001]}):
            assert client.post("/classify", json=wrong).status_code == 422


def test_a_model_that_cannot_load_is_told(monkeypatch):
    def broken():
        raise FileNotFoundError("weights/sections.onnx")

    monkeypatch.setattr(main, "Classifier", broken)
    model = main.Model()
    model.load()
    with pytest.raises(main.HTTPException) as refusal:
        model.get()
    assert refusal.value.status_code == 503 and "sections.onnx" in refusal.value.detail
