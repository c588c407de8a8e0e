"""Inside the image and outside: `python -m unittest discover tests`. Starts the service; DATA says where the digits are."""

import gzip
import json
import os
import threading
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import torch
import uvicorn

import main

DATA = Path(os.environ.get("DATA") or Path(__file__).parent.parent.parent / "train-job" / "data")


class Service(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = uvicorn.Server(uvicorn.Config(main.app, host="127.0.0.1", port=0, log_level="warning"))
        cls.thread = threading.Thread(target=cls.server.run)
        cls.thread.start()
        while not cls.server.started:
            time.sleep(0.01)
        cls.port = cls.server.servers[0].sockets[0].getsockname()[1]
        while cls.ask("/ready")[0] == 503:
            time.sleep(0.05)

    @classmethod
    def tearDownClass(cls):
        cls.server.should_exit = True
        cls.thread.join()

    @classmethod
    def ask(cls, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{cls.port}{path}", data, {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def test_it_reads_what_it_has_not_seen(self):
        with gzip.open(DATA / "digits.csv.gz", "rt") as file:
            rows = [[float(number) for number in line.split(",")] for line in file][-360:]
        status, answer = self.ask("/read", {"images": [row[:64] for row in rows]})
        self.assertEqual((status, answer["device"]), (200, "cuda" if torch.cuda.is_available() else "cpu"))
        right = sum(found["digit"] == row[64] for found, row in zip(answer["digits"], rows))
        self.assertGreater(right / len(rows), 0.9)

    def test_health_and_wrong_questions(self):
        self.assertEqual(self.ask("/health"), (200, {"status": "alive"}))
        for wrong in [{}, {"images": []}, {"images": [[0] * 63]}, {"images": [[17] * 64]}]:
            self.assertEqual(self.ask("/read", wrong)[0], 422)

    def test_torch_has_cuda(self):
        self.assertIsNotNone(torch.version.cuda)


if __name__ == "__main__":
    unittest.main()
