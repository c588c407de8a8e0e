"""The service. The model loads in the background: alive at once, ready when it has answered once."""

import threading
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

from reader import Reader


class Model:
    """A reader that is still to come."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._reader: Reader | None = None
        self._error: str | None = None

    def load(self) -> None:
        try:
            reader = Reader()
            reader.read([[0.0] * 64])
            self._reader = reader
            self._ready.set()
        except Exception as error:  # whatever it is, /ready tells it
            self._error = f"{type(error).__name__}: {error}"

    def get(self) -> Reader:
        if not self._ready.is_set() or self._reader is None:
            raise HTTPException(503, self._error or "the model is loading", {"Retry-After": "1"})
        return self._reader


model = Model()


@asynccontextmanager
async def lifespan(_app: FastAPI):
    threading.Thread(target=model.load, daemon=True).start()
    yield


app = FastAPI(title="gpu-infer", lifespan=lifespan)

Pixel = Annotated[float, Field(ge=0, le=16)]
Image = Annotated[list[Pixel], Field(min_length=64, max_length=64)]


class Question(BaseModel):
    images: Annotated[list[Image], Field(min_length=1, max_length=1024)]


class Digit(BaseModel):
    digit: int
    probability: float


class Answer(BaseModel):
    device: str
    digits: list[Digit]


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "alive"}


@app.get("/ready")
def ready() -> dict[str, str]:
    return {"status": "ready", "device": model.get().device.type}


@app.post("/read")
def read(question: Question) -> Answer:
    reader = model.get()
    found = reader.read(question.images)
    return Answer(device=reader.device.type, digits=[Digit(digit=digit, probability=sure) for digit, sure in found])
