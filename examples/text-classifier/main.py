"""The service. The model loads in the background: alive at once, ready when it has answered once."""

import threading
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

from classifier import Classifier


class Model:
    """A classifier that is still to come."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._classifier: Classifier | None = None
        self._error: str | None = None

    def load(self) -> None:
        try:
            classifier = Classifier()
            classifier.classify(["warm up"])
            self._classifier = classifier
            self._ready.set()
        except Exception as error:  # whatever it is, /ready tells it
            self._error = f"{type(error).__name__}: {error}"

    def get(self) -> Classifier:
        if not self._ready.is_set() or self._classifier is None:
            raise HTTPException(503, self._error or "the model is loading", {"Retry-After": "1"})
        return self._classifier


model = Model()


@asynccontextmanager
async def lifespan(_app: FastAPI):
    threading.Thread(target=model.load, daemon=True).start()
    yield


app = FastAPI(title="text-classifier", lifespan=lifespan)

Text = Annotated[str, Field(max_length=20_000)]


class Question(BaseModel):
    texts: Annotated[list[Text], Field(min_length=1, max_length=256)]


class Label(BaseModel):
    section: str
    probability: float


class Answer(BaseModel):
    labels: list[Label]


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "alive"}


@app.get("/ready")
def ready() -> dict[str, str]:
    model.get()
    return {"status": "ready"}


@app.post("/classify")
def classify(question: Question) -> Answer:
    found = model.get().classify(question.texts)
    return Answer(labels=[Label(section=section, probability=probability) for section, probability in found])
