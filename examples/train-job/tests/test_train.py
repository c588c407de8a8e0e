"""Inside the image and outside: `python -m unittest discover tests`. DATA says where the digits are."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import train

DATA = os.environ.get("DATA", str(Path(__file__).parent.parent / "data"))
JOB = train.__file__


class Training(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def job(self, name, **settings):
        """The job, started, with its checkpoints in a folder of that name."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        variables = {**os.environ, "DATA": DATA, "CHECKPOINTS": str(folder), "EPOCHS": "12", **settings}
        return subprocess.Popen(
            [sys.executable, "-u", JOB], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def done(self, name, **settings):
        """What it says when it has run to a good end, and the checkpoint."""
        job = self.job(name, **settings)
        said, errors = job.communicate()
        self.assertEqual(job.returncode, 0, errors)
        return said, (self.folder / name / "model.safetensors").read_bytes()

    def ended_by(self, name, number):
        """Started, and ended by a signal as soon as its third epoch is done."""
        job = self.job(name, EPOCHS="100000")
        for line in job.stdout:
            if line.startswith("epoch 3:"):
                break
        job.send_signal(number)
        job.communicate()
        return job.returncode

    def test_it_learns(self):
        said, _ = self.done("whole", EPOCHS="30")
        result = json.loads(said.splitlines()[-1])
        self.assertEqual(result["epochs"], 30)
        self.assertGreater(result["accuracy"], 0.9)

    def test_killed_and_started_again_it_ends_with_the_same_bytes(self):
        _, whole = self.done("whole")
        for name, number, status in [("killed", signal.SIGKILL, -9), ("ended", signal.SIGTERM, 143)]:
            with self.subTest(name):
                self.assertEqual(self.ended_by(name, number), status)
                before = train.Checkpoint(self.folder / name, train.Settings.of(os.environ)).load()[0]
                self.assertGreaterEqual(before, 3)
                epochs = str(before + 2)
                said, resumed = self.done(name, EPOCHS=epochs)
                self.assertEqual(re.findall(r"epoch (\d+):", said), [str(before + 1), epochs])
                self.assertTrue(said.startswith(f"going on after epoch {before}\n"), said)
                self.assertEqual(resumed, self.done(f"{name} whole", EPOCHS=epochs)[1])
        self.assertEqual(self.done("whole")[1], whole)

    def test_hyper_parameters_are_read(self):
        ends = [self.done(f"{number}", EPOCHS="1", **more)[1] for number, more in enumerate([{}, {"LR": "0.01"}, {"SEED": "1"}])]
        self.assertEqual(len(set(ends)), 3)
        for wrong in [{"LR": "fast"}, {"LR": "0"}, {"EPOCHS": "-1"}]:
            job = self.job("wrong", **wrong)
            said = job.communicate()[1]
            (name, value), = wrong.items()
            self.assertEqual((job.returncode, said), (1, f"{name}={value!r}: a positive number is needed\n"))

    def test_a_checkpoint_of_other_settings_is_refused(self):
        self.done("one", EPOCHS="1")
        job = self.job("one", EPOCHS="2", HIDDEN="8")
        self.assertIn("take another folder", job.communicate()[1])
        self.assertEqual(job.returncode, 1)


if __name__ == "__main__":
    unittest.main()
