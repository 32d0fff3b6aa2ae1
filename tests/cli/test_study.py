"""plimsoll study, with so little work that it takes seconds."""

import csv
import json
import math
import re
import statistics

import command_test
import json_schema
from command_test import GOLDEN, MODELS, TOP, CommandTest

# Quick, and trained on the same text as models/demo.
DRAFT = MODELS / "draft"


class StudyTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.text = self.folder / "text.txt"
        self.text.write_text((MODELS / "demo" / "sample.txt").read_text()[:6000])
        self.output = self.folder / "study"
        self.two = ["--variants", "bf16+sdpa,nf4-dq+sdpa"]
        self.quick = ["study", DRAFT, "--text", self.text, "-r", 3, "-n", 4, "--quick", "-o", self.output]

    def results(self, folder=None):
        return json.loads(((folder or self.output) / "results.json").read_text())


class Study(StudyTest):
    def test_default_run(self):
        """Once without --quick: the files, the schema, and figures that follow from the raw samples."""
        done = self.succeed("study", DRAFT, "--text", self.text, "-r", 3, "-n", 4, "-o", self.output)
        results = self.results()
        schema = json.loads((TOP / "docs" / "results.schema.json").read_text())
        self.assertEqual(json_schema.errors(results, schema), [])
        self.assertTrue(results["run"]["complete"])
        variants = {variant["name"]: variant for variant in results["variants"]}
        self.assertEqual(list(variants), ["bf16+eager", "int8+eager", "nf4-dq+eager", "bf16+sdpa", "int8+sdpa",
                                          "nf4-dq+sdpa"])
        self.assertEqual((results["reference"], results["baseline"]), ("bf16+eager", "bf16+eager"))
        for variant in variants.values():
            self.check_variant(variant, variants["bf16+eager"])
        self.assertEqual(variants["bf16+eager"]["quality"]["kl_mean"], {"value": 0, "low": 0, "high": 0})
        self.assertGreater(variants["nf4-dq+sdpa"]["quality"]["kl_mean"]["value"], 0.01)
        self.assertLess(variants["int8+sdpa"]["memory"]["weights_bytes"], variants["bf16+sdpa"]["memory"]["weights_bytes"])
        self.assertIn(results["recommended"], variants)
        self.assertEqual([r["workload"] for r in results["recommendations"]], ["chat", "batch", "edge", "realtime"])
        self.assertIsNotNone(results["noise"])
        self.assertEqual(results["numerics_cost"]["variant"], "bf16+sdpa")
        self.check_text(done.stdout.decode(), variants)
        self.check_tables(variants)

    def check_variant(self, variant, baseline):
        self.assertEqual(variant["status"], "measured")
        latency = variant["latency"]
        for figure in latency.values():
            if isinstance(figure, dict):
                self.assertEqual(len(figure["samples"]), 3)
                self.assertAlmostEqual(figure["median"], statistics.median(figure["samples"]))
                self.assertAlmostEqual(figure["stddev"], statistics.stdev(figure["samples"]))
                self.assertTrue(figure["low"] <= figure["median"] <= figure["high"])
        for whole, first, each, rate in zip(*(latency[name]["samples"] for name in (
                "end_to_end_seconds", "ttft_seconds", "tpot_seconds", "decode_tokens_per_second"))):
            self.assertAlmostEqual((whole - first) / 3, each)
            self.assertAlmostEqual(rate, 1 / each, delta=1e-6 * rate)
        ratio = (latency["decode_tokens_per_second"]["median"]
                 / baseline["latency"]["decode_tokens_per_second"]["median"])
        self.assertAlmostEqual(variant["versus_baseline"]["decode"]["ratio"], ratio)
        quality = variant["quality"]
        self.assertAlmostEqual(quality["ppl"], math.exp(quality["nll"]))
        self.assertAlmostEqual(quality["ppl_ratio"]["value"], quality["ppl"] / baseline["quality"]["ppl"], places=9)
        self.assertEqual(len(variant["samples"]), 3)
        self.assertTrue(variant["samples"][0]["text"].strip())
        self.assertGreater(variant["memory"]["kv_bytes"], 0)

    def check_text(self, said, variants):
        for column in ("variant", "ppl", "KL", "same top", "prefill t/s", "decode t/s", "weights", "KV cache", "peak"):
            self.assertIn(column, said)
        for name in variants:
            self.assertRegex(said, rf"(?m)^{re.escape(name)} +[\d.]+ +[\d.]+ +[\d.e-]+ +[\d.]+ % +\d+ +[\d.]+ ")
        for heading in ("Samples", "Which to take", "Single-user chat", "Edge device", "Noise: bf16+eager", "Written to"):
            self.assertIn(heading, said)
        self.assertRegex(said, r"Numerics: invariant\s+changes\s+the\s+time")

    def check_tables(self, variants):
        with open(self.output / "results.csv", encoding="utf-8", newline="") as file:
            rows = {row["name"]: row for row in csv.DictReader(file)}
        self.assertEqual(list(rows), list(variants))
        for name, row in rows.items():
            self.assertAlmostEqual(float(row["decode_tokens_per_second"]),
                                   variants[name]["latency"]["decode_tokens_per_second"]["median"], delta=1e-3)
        markdown = (self.output / "results.md").read_text()
        self.assertIn("## Which to take", markdown)
        self.assertIn("| nf4-dq+sdpa ", markdown)

    def test_quality_is_that_of_eval(self):
        self.succeed(*self.quick, *self.two)
        variant = self.results()["variants"][1]
        alone = self.json_of("eval", DRAFT, "--text", self.text, "--weights", "nf4-dq", "--compute", "fast",
                             "--limit-tokens", self.results()["run"]["text"]["tokens"])
        self.assertEqual((variant["quality"]["protocol"], variant["quality"]["window"], variant["quality"]["tokens_scored"]),
                         (alone["protocol"], alone["window"], alone["tokens_scored"]))
        self.assertAlmostEqual(variant["quality"]["nll"], alone["nll"], places=6)

    def test_json_on_standard_output_is_the_file(self):
        done = self.succeed(*self.quick, *self.two, "--format", "json")
        self.assertEqual(json.loads(done.stdout), self.results())

    def test_random_weights_have_no_quality(self):
        self.succeed("study", "shape:gpt2", "--variants", "bf16", "--attention", "flash", "-r", 1, "-n", 2,
                     "-o", self.output, "--quick", "--price-per-hour", 2)
        results = self.results()
        variant = results["variants"][0]
        self.assertIsNone(variant["quality"])
        self.assertIn("random", variant["quality_reason"])
        self.assertEqual(results["recommended"], "bf16+flash")
        self.assertAlmostEqual(variant["cost"]["per_million_tokens"],
                               2 / 3600 / variant["latency"]["decode_tokens_per_second"]["median"] * 1e6)
        self.assertEqual(variant["versus_baseline"]["decode"]["verdict"], "unknown")
        self.assertIn("one_repeat", [warning["kind"] for warning in results["warnings"]])

    def test_what_passes_the_budget_is_not_recommended(self):
        self.succeed(*self.quick, *self.two, "--max-ppl-ratio", "1.001")
        results = self.results()
        self.assertGreater(results["variants"][1]["quality"]["ppl_ratio"]["value"], 1.001)
        for recommendation in results["recommendations"]:
            self.assertEqual(recommendation["variant"], "bf16+sdpa")

    def test_what_does_not_fit_is_shown(self):
        self.succeed(*self.quick, *self.two)
        needed = [variant["memory"]["needed_bytes"] for variant in self.results()["variants"]]
        self.assertGreater(needed[0], needed[1])
        limit = (needed[0] - 1) / 1e9
        self.succeed(*self.quick, *self.two, "--memory-limit", limit, "--overwrite")
        first, second = self.results()["variants"]
        self.assertEqual((first["status"], second["status"]), ("does_not_fit", "measured"))
        self.assertIsNone(first["latency"])
        self.assertIn("--memory-limit", first["reason"])
        self.assertEqual(self.results()["baseline"], "nf4-dq+sdpa")
        self.assert_refused([*self.quick, "--variants", "bf16", "--memory-limit", limit, "--overwrite"],
                            "no variant fits", "bf16+sdpa needs", "nf4-dq+sdpa", "would")

    def test_imported_rows(self):
        rows = self.folder / "bench.json"
        rows.write_bytes(self.succeed("bench", DRAFT, "-p", 8, "-n", 4, "-r", 2, "-t", 1, "-o", "json").stdout)
        done = self.succeed(*self.quick, *self.two, "--import", rows)
        self.assertEqual([row["test"] for row in self.results()["imported"]], ["pp8", "tg4"])
        self.assertRegex(done.stdout.decode(), r"(?m)^.*bf16 +plimsoll .* tg4 ")


class Folder(StudyTest):
    def test_resumes(self):
        self.succeed(*self.quick, *self.two)
        whole = self.results()
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

    def test_another_study_is_refused_and_kept(self):
        self.succeed(*self.quick, *self.two)
        before = (self.output / "results.json").read_bytes()
        self.assert_refused([*self.quick, "--variants", "bf16+sdpa"], "another study", "variants", "--overwrite")
        longer = [5 if argument == 4 else argument for argument in self.quick]
        self.assert_refused([*longer, *self.two, "--resume"], "another study", "new_tokens")
        self.assertEqual((self.output / "results.json").read_bytes(), before)
        # Its own is measured anew.
        self.succeed(*self.quick, *self.two)

    def test_bad_folders(self):
        self.output.write_text("a file")
        self.assert_refused([*self.quick, *self.two], self.output, "a folder")
        self.output.unlink()
        self.output.mkdir()
        (self.output / "results.json").write_text("{\"schema\": \"another\"}")
        self.assert_refused([*self.quick, *self.two], "results.json: schema", "plimsoll.study")

    def test_nothing_is_left_of_what_was_refused(self):
        self.assert_refused([*self.quick, "--adapter", GOLDEN / "gpt2-tiny-lora"], "gpt2-tiny")
        self.assert_refused([*self.quick, "--device", "cuda"], "--device", "cuda")
        self.assert_refused(["study", DRAFT, "--quick", "--full", "-o", self.output], "--quick")
        self.assertFalse(self.output.exists())


class Compare(StudyTest):
    def setUp(self):
        super().setUp()
        self.succeed(*self.quick, *self.two)
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


if __name__ == "__main__":
    command_test.main()
