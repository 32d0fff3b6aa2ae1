"""plimsoll study: its folder, what goes on after it was stopped, what is refused, and comparing two of them."""

import json
import signal
import subprocess
import time

import command_test
from command_test import GOLDEN, TOP
from study_test import StudyTest


class Folder(StudyTest):
    def test_resumes(self):
        whole = self.finish()
        # As a study that was killed before the second variant was judged has left it.
        killed = json.loads(json.dumps(whole))
        killed["run"]["complete"], killed["run"]["finished"] = False, None
        killed["variants"][1]["quality"] = None
        killed["variants"][1]["samples"] = []
        (self.output / "results.json").write_text(json.dumps(killed))
        self.assert_refused([*self.quick, *self.two], "unfinished", "--resume", "--overwrite")
        self.succeed(*self.quick, *self.two, "--resume")
        resumed = self.results()
        self.assertTrue(resumed["run"]["complete"])
        for then, now in zip(whole["variants"], resumed["variants"]):
            self.assertEqual(then["latency"], now["latency"], "it was measured again")
            self.assertEqual(then["quality"], now["quality"])
            self.assertEqual(then["samples"], now["samples"])
        self.assertGreater(resumed["run"]["seconds"], whole["run"]["seconds"])

    def test_goes_on_within_the_timing(self):
        whole = self.finish()
        # As a study that was killed in its third round has left it.
        killed = json.loads(json.dumps(whole))
        killed["run"]["complete"], killed["run"]["finished"] = False, None
        def two_rounds(figure):
            first, second = figure["samples"][:2]
            figure.update(samples=[first, second], median=(first + second) / 2)
        for variant in killed["variants"]:
            variant.update(status="pending", quality=None, samples=[])
            for figure in variant["latency"].values():
                if isinstance(figure, dict):
                    two_rounds(figure)
        for name in ("decode_tokens_per_second", "prefill_tokens_per_second"):
            two_rounds(killed["noise"][name])
        (self.output / "results.json").write_text(json.dumps(killed))
        self.succeed(*self.quick, *self.two, "--resume")
        resumed = self.results()
        for then, now in zip(killed["variants"], resumed["variants"]):
            self.assertEqual((now["status"], now["latency"]["repeats"]), ("measured", 3))
            self.assertEqual(len(now["latency"]["tpot_seconds"]["samples"]), 3)
            self.check_rounds(then["latency"], now["latency"])
        self.assertEqual(len(resumed["noise"]["decode_tokens_per_second"]["samples"]), 3)
        self.check_rounds(killed["noise"], resumed["noise"])

    def test_killed_again_and_again(self):
        """Killed before anything is saved, and when each part is: nothing that was finished is measured again."""
        command = ["study", self.model, "--text", self.text, "-t", 1, "-r", 3, "-n", 4, "-o", self.output, *self.two]
        kept = {}
        for part in (None, "rounds", "latency", "quality", "profile"):
            resume = ["--resume"] if (self.output / "results.json").exists() else []
            process = subprocess.Popen([command_test.options.program, *map(str, command), *resume], cwd=TOP,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            while process.poll() is None and not self.has(part):
                time.sleep(0.002)
            process.send_signal(signal.SIGINT if part == "quality" else signal.SIGKILL)
            _, said = process.communicate()
            if part is None:
                self.assertFalse((self.output / "results.json").exists())
                continue
            if part == "quality":
                self.assertEqual(process.returncode, 130, said)
                self.assertRegex(said.decode(), f"plimsoll: {self.output} keeps what is finished; the same command with "
                                 "--resume goes on\nplimsoll: interrupted\n\\Z")
            else:
                self.assertEqual(process.returncode, -9, "it was over before")
            first = self.results()["variants"][0]
            self.assertFalse(self.results()["run"]["complete"])
            for name, found in kept.items():
                self.assertEqual(first[name], found, f"{name} was measured again")
            if part == "rounds":
                rounds = first["latency"]
                continue
            self.check_rounds(rounds, first["latency"])
            kept = {name: first[name] for name in ("latency", "quality", "profile") if first[name]}
            self.assertIn(part, kept)
        self.succeed(*command, "--resume")
        results = self.results()
        self.assertTrue(results["run"]["complete"])
        for name, found in kept.items():
            self.assertEqual(results["variants"][0][name], found, f"{name} was measured again")
        for variant in results["variants"]:
            self.assertTrue(variant["latency"] and variant["quality"] and variant["profile"] and variant["samples"])
        self.assertEqual(list(self.output.glob("**/*.tmp*")), [])
        self.assertTrue((self.output / "results.csv").exists())

    def check_rounds(self, kept, latency):
        """The later rounds come after those that were kept."""
        for name, figure in kept.items():
            if isinstance(figure, dict) and "samples" in figure:
                for then, now in zip(figure["samples"], latency[name]["samples"]):
                    self.assertAlmostEqual(then, now, delta=1e-9 * then, msg=f"{name} was measured again")

    def has(self, part):
        """Whether the part was saved for the first variant; None: whether the study has begun."""
        if part is None:
            return True
        try:
            first = self.results()["variants"][0]
        except FileNotFoundError:
            return False
        if part == "latency":
            return first["status"] == "measured"
        return bool(first["latency" if part == "rounds" else part])

    def test_another_study_is_refused_and_kept(self):
        self.finish()
        before = (self.output / "results.json").read_bytes()
        self.assert_refused([*self.quick, "--variants", "bf16+sdpa"], "another study", "variants", "--overwrite")
        longer = [5 if argument == 4 else argument for argument in self.quick]
        self.assert_refused([*longer, *self.two, "--resume"], "another study", "new_tokens")
        self.assertEqual((self.output / "results.json").read_bytes(), before)
        # Its own is measured anew.
        self.succeed(*self.quick, *self.two)

    def test_nothing_to_resume(self):
        self.assert_refused([*self.quick, *self.two, "--resume"], self.output, "--resume", "no study there")
        self.assertFalse(self.output.exists())

    def test_bad_folders(self):
        self.output.write_text("a file")
        self.assert_refused([*self.quick, *self.two], self.output, "a folder")
        # Found out before anything is measured.
        self.assert_refused([*self.quick[:-1], self.output / "within", *self.two], self.output / "within",
                            self.output, "a file", "a folder")
        self.output.unlink()
        self.output.mkdir()
        (self.output / "results.json").write_text("{\"schema\": \"another\"}")
        self.assert_refused([*self.quick, *self.two], "results.json: schema", "plimsoll.study")

    def test_replacing_is_said(self):
        self.assertNotIn("replaces", self.succeed(*self.quick, *self.two).stderr)
        said = self.succeed(*self.quick, *self.two).stderr
        self.assertIn(f"plimsoll: replaces the finished study in {self.output}\n", said)

    def test_nothing_is_left_of_what_was_refused(self):
        self.assert_refused([*self.quick, "--adapter", GOLDEN / "gpt2-tiny-lora"], "gpt2-tiny")
        self.assert_refused([*self.quick, "--device", "cuda:99"], "--device", "cuda:99")
        self.assert_refused(["study", self.model, "--quick", "--full", "-o", self.output], "--quick")
        self.assert_refused([*self.quick, "--memory-limit", "nan"], "--memory-limit", "nan", "1e-06")
        self.assert_refused([*self.quick, "--price-per-hour", "nan"], "--price-per-hour", "nan")
        self.assert_refused([*self.quick, "--max-ppl-ratio", "0.9"], "--max-ppl-ratio", "0.9")
        self.assert_refused([*self.quick, "--variants", ""], "--variants: list: found nothing")
        self.assert_refused([*self.quick, "--variants", "bf16,,int8"], "--variants", "nothing before a comma")
        empty = self.folder / "empty.txt"
        empty.write_text("")
        self.assert_refused([empty if word == self.text else word for word in self.quick], "--text: length: found nothing, expected at least 127 tokens")
        self.assertFalse(self.output.exists())


class Compare(StudyTest):
    def setUp(self):
        super().setUp()
        self.finish()
        self.before = self.output / "results.json"
        self.after = self.folder / "after.json"

    def test_with_itself(self):
        done = self.succeed("study", "--compare", self.before, self.output)
        self.assertRegex(done.stdout.decode(), r"(\d+) of \1 figures did not change")

    def test_exit_status_says_worse(self):
        results = self.results()
        variant = results["variants"][1]
        variant["quality"]["ppl"] *= 1.2
        self.after.write_text(json.dumps(results))
        done = self.plimsoll("study", "--compare", self.before, self.after, "--format", "json")
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        changed = [change for change in json.loads(done.stdout)["changes"] if change["verdict"] != "no difference"]
        self.assertEqual([(change["variant"], change["figure"], change["verdict"]) for change in changed],
                         [("nf4-dq+sdpa", "perplexity", "worse")])
        self.assertAlmostEqual(changed[0]["ratio"], 1.2)
        # The other way round it got better.
        self.assertIn("better", self.succeed("study", "--compare", self.after, self.before).stdout.decode())

    def test_refused(self):
        results = self.results()
        results["schema_version"] = 99
        self.after.write_text(json.dumps(results))
        self.assert_refused(["study", "--compare", self.before, self.after], self.after, "schema_version", 99)
        self.assert_refused(["study", "--compare", self.before, self.folder / "none.json"], "none.json")
        self.assert_refused(["study", "--compare", self.before], "--compare")

    def test_nothing_in_common(self):
        results = self.results()
        for variant in results["variants"]:
            variant["name"] = "log4+" + variant["attention"]
        self.after.write_text(json.dumps(results))
        self.assert_refused(["study", "--compare", self.before, self.after], self.after, "in common", "found none")


if __name__ == "__main__":
    command_test.main()
