"""Inside the image and outside: `python -m unittest discover tests`."""

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import pandas as pd

import main
from score import Model, WrongTable

HERE = Path(__file__).parent


class Job(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.data, self.results = self.folder / "data", self.folder / "results"
        shutil.copytree(HERE / "data", self.data)
        self.results.mkdir()

    def job(self):
        variables = {**os.environ, "DATA": str(self.data), "RESULTS": str(self.results)}
        return subprocess.run([sys.executable, main.__file__], env=variables, capture_output=True, text=True)

    def test_held_out_samples_are_told_apart(self):
        job = self.job()
        self.assertEqual((job.returncode, job.stderr), (0, ""))
        self.assertEqual(json.loads(job.stdout), {"tables": 2, "rows": 150, "already": 0, "failed": 0})
        scored = pd.concat(pd.read_csv(path) for path in sorted(self.results.iterdir())).set_index("id")
        answers = pd.read_csv(HERE / "answers.csv").set_index("id")
        scored, answers = scored.sort_index(), answers.sort_index()
        self.assertEqual(list(scored.index), list(answers.index))
        right = (scored["malignant"] > 0.5) == (answers["malignant"] == 1)
        self.assertGreater(right.mean(), 0.95)

    def test_what_is_there_is_left_alone(self):
        self.job()
        (self.results / "second.scored.csv").unlink()
        (self.results / "first.scored.csv").write_text("mine\n")
        job = self.job()
        self.assertEqual(json.loads(job.stdout), {"tables": 1, "rows": 50, "already": 1, "failed": 0})
        self.assertEqual((self.results / "first.scored.csv").read_text(), "mine\n")

    def test_a_wrong_table_is_named_and_the_others_are_scored(self):
        (self.data / "a.csv").write_text("id,mean radius\ns1,3\n")
        (self.data / "b.csv.gz").write_bytes((self.data / "second.csv.gz").read_bytes()[:500])
        rows = (self.data / "first.csv").read_text().splitlines()
        (self.data / "c.csv").write_text("\n".join([rows[0], rows[1], rows[2].rsplit(",", 1)[0] + ","]) + "\n")
        (self.data / "d.csv").write_text("")
        job = self.job()
        self.assertEqual(job.returncode, 1)
        self.assertEqual(json.loads(job.stdout), {"tables": 2, "rows": 150, "already": 0, "failed": 4})
        said = job.stderr.splitlines()
        self.assertEqual(said[0], f"{self.data}/a.csv: no column 'mean texture' and 28 others")
        self.assertTrue(said[1].startswith(f"{self.data}/b.csv.gz: "), said)
        self.assertEqual(said[2], f"{self.data}/c.csv: row 2 lacks a number")
        self.assertEqual(len(list(self.results.iterdir())), 2)

    def test_nothing_to_do_is_an_error(self):
        shutil.rmtree(self.data)
        self.data.mkdir()
        job = self.job()
        self.assertEqual((job.returncode, job.stdout), (1, ""))
        self.assertIn("holds no .csv", job.stderr)

    def test_pieces_give_the_same_as_the_whole(self):
        source = self.data / "first.csv"
        main.score_table(Model(), source, self.results / "whole.csv")
        self.addCleanup(setattr, main, "ROWS_AT_ONCE", main.ROWS_AT_ONCE)
        main.ROWS_AT_ONCE = 7
        self.assertEqual(main.score_table(Model(), source, self.results / "pieces.csv"), 100)
        whole, pieces = ((self.results / name).read_bytes() for name in ["whole.csv", "pieces.csv"])
        self.assertEqual(pieces, whole)
        with open(self.results / "whole.csv", newline="") as file:
            self.assertEqual(next(csv.reader(file)), ["id", "malignant"])

    def test_text_is_no_number(self):
        table = pd.read_csv(self.data / "first.csv")
        table["mean radius"] = "wide"
        with self.assertRaises(WrongTable):
            Model().score(table)


if __name__ == "__main__":
    unittest.main()
