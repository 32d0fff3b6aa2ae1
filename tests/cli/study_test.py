"""What the tests of plimsoll study share: a small model, a short text, a finished study to begin with."""

import json
import shutil
import tempfile

from command_test import MODELS, CommandTest

# Trained on the same text as models/demo.
DRAFT = MODELS / "draft"
WINDOW = 128


class StudyTest(CommandTest):
    _finished = None

    def setUp(self):
        super().setUp()
        self.text = self.folder / "text.txt"
        self.text.write_text((MODELS / "demo" / "sample.txt").read_text()[:2400])
        self.model = self.short_of(DRAFT, WINDOW)
        self.output = self.folder / "study"
        self.two = ["--variants", "bf16+sdpa,nf4-dq+sdpa"]
        self.quick = ["study", self.model, "--text", self.text, "-r", 3, "-n", 4, "--quick", "-o", self.output]

    def results(self, folder=None):
        return json.loads(((folder or self.output) / "results.json").read_text())

    def finish(self):
        """A finished quick study of two variants in self.output; measured once for all tests."""
        if StudyTest._finished is None:
            StudyTest._finished = tempfile.TemporaryDirectory(prefix="plimsoll-study-")
            self.succeed(*self.quick[:-1], StudyTest._finished.name, *self.two)
        shutil.copytree(StudyTest._finished.name, self.output)
        return self.results()
