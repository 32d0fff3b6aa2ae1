"""plimsoll study, with so little work that it takes seconds: its figures."""

import csv
import itertools
import json
import math
import operator
import re
import shutil
import statistics

import command_test
import json_schema
from command_test import MODELS, TOP, ids_text, read_safetensors
from study_test import WINDOW, StudyTest


def bootstrap(*sampled, paired=True):
    """The 95 % bootstrap interval of the median of three samples, or of a ratio of such medians.

    Each outcome of the resampling has a probability of more than 2.5 %, so that the percentiles are the least and
    the largest outcome: what random numbers the program draws does not matter.
    """
    draws = list(itertools.product(range(3), repeat=3))
    pairs = [(draw, draw) for draw in draws] if paired else itertools.product(draws, draws)
    def median(samples, draw):
        return sorted(samples[i] for i in draw)[1]
    outcomes = [median(sampled[0]["samples"], first) / (median(sampled[1]["samples"], second) if sampled[1:] else 1)
                for first, second in pairs]
    return min(outcomes), max(outcomes)


class Study(StudyTest):
    def test_default_run(self):
        """Once without --quick: the files, the schema, and figures that follow from the raw samples."""
        done = self.succeed("study", self.model, "--text", self.text, "-r", 3, "-n", 4, "-o", self.output)
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
            self.check_verdicts(variant["latency"], variants["bf16+eager"]["latency"], variant["versus_baseline"],
                                results["noise"])
        self.check_noise(results["noise"], variants["bf16+eager"]["latency"])
        self.assertEqual(variants["bf16+eager"]["quality"]["kl_mean"], {"value": 0, "low": 0, "high": 0})
        self.assertGreater(variants["nf4-dq+sdpa"]["quality"]["kl_mean"]["value"], 0.01)
        self.assertRegex(results["run"]["versions"]["onednn"], r"^\d+\.\d+\.\d+, ")
        self.assertRegex(results["run"]["versions"]["compiler"], r"^(gcc|clang) \d+")
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
                self.assertAlmostEqual(figure["mean"], statistics.mean(figure["samples"]))
                for given, computed in zip((figure["low"], figure["high"]), bootstrap(figure)):
                    self.assertAlmostEqual(given, computed, delta=1e-9 * computed)
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

    def check_verdicts(self, latency, baseline, versus, noise):
        for name, figure, floor in (("decode", "decode_tokens_per_second", "floor_decode"),
                                    ("prefill", "prefill_tokens_per_second", "floor_prefill"),
                                    ("end_to_end", "end_to_end_seconds", "floor_decode")):
            ours, theirs = latency[figure], baseline[figure]
            if name == "end_to_end":  # of speeds, too
                ours, theirs = theirs, ours
            ratio, (low, high) = ours["median"] / theirs["median"], bootstrap(ours, theirs)
            for given, computed in zip((versus[name][key] for key in ("ratio", "low", "high")), (ratio, low, high)):
                self.assertAlmostEqual(given, computed, delta=1e-9 * computed)
            reach = 1 + noise[floor]
            verdict = ("faster" if low > 1 and ratio > reach else
                       "slower" if high < 1 and ratio < 1 / reach else "no difference")
            self.assertEqual(versus[name]["verdict"], verdict)

    def check_noise(self, noise, baseline):
        floors = []
        for name in ("decode", "prefill"):
            first, again = baseline[f"{name}_tokens_per_second"], noise[f"{name}_tokens_per_second"]
            self.assertEqual(len(again["samples"]), 3)
            self.assertNotEqual(first["samples"], again["samples"])
            self.assertAlmostEqual(noise[name]["value"], first["median"] / again["median"])
            low, high = bootstrap(first, again)
            floors.append(max(high - 1, 1 - low, 0))
            self.assertAlmostEqual(noise[f"floor_{name}"], floors[-1])
        self.assertEqual(noise["noisy"], max(floors) > 0.05)

    def check_text(self, said, variants):
        for column in ("variant", "ppl", "KL", "same top", "prefill t/s", "decode t/s", "weights", "KV cache", "peak"):
            self.assertIn(column, said)
        for name in variants:
            self.assertRegex(said, rf"(?m)^{re.escape(name)} +[\d.]+ +[\d.]+ +[\d.e-]+ +[\d.]+ % +\d+ +[\d.]+ ")
        for heading in ("Samples", "Which to take", "Single-user chat", "Edge device", "Noise: bf16+eager", "Written to"):
            self.assertIn(heading, said)
        self.assertRegex(said, r"Numerics:\s+invariant\s+against\s+fast")

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
        results = self.finish()
        variant = results["variants"][1]
        alone = self.json_of("eval", self.model, "--text", self.text, "--weights", "nf4-dq", "--compute", "fast",
                             "--limit-tokens", results["run"]["text"]["tokens"])
        self.assertEqual((variant["quality"]["protocol"], variant["quality"]["window"], variant["quality"]["tokens_scored"]),
                         (alone["protocol"], alone["window"], alone["tokens_scored"]))
        self.assertAlmostEqual(variant["quality"]["nll"], alone["nll"], places=6)

    def test_quality_by_another_program(self):
        """Perplexity, KL divergence, same top token and their intervals from the logits alone."""
        reference, variant = self.finish()["variants"]
        ids = self.json_of("tokenize", self.model, "-p", self.text.read_text())["ids"]
        windows = [ids[at:at + WINDOW] for at in range(0, 4 * WINDOW, WINDOW)]
        tallies = [list(self.compared(window, "nf4-dq")) for window in windows]
        count = len(windows) * (WINDOW - 1)
        self.assertEqual(variant["quality"]["tokens_scored"], count)
        losses, own, kl, same = (sum(row[i] for tally in tallies for row in tally) / count for i in range(4))
        self.assertAlmostEqual(variant["quality"]["nll"], losses, places=5)
        self.assertAlmostEqual(reference["quality"]["nll"], own, places=5)
        self.assertAlmostEqual(variant["quality"]["ppl"], math.exp(losses), places=3)
        spread = statistics.pstdev(row[0] for tally in tallies for row in tally)
        self.assertAlmostEqual(variant["quality"]["ppl_stderr"], math.exp(losses) * spread / math.sqrt(count), places=3)
        for figure, value, samples in (
                ("kl_mean", kl, [[row[2] for row in tally] for tally in tallies]),
                ("same_top", same, [[row[3] for row in tally] for tally in tallies]),
                ("ppl_ratio", losses - own, [[row[0] - row[1] for row in tally] for tally in tallies])):
            means = [statistics.mean(window) for window in samples]
            reach = 3.182446305 * statistics.stdev(means) / math.sqrt(len(means))  # Student's t, three degrees
            expected = [value, value - reach, value + reach]
            if figure == "ppl_ratio":
                expected = list(map(math.exp, expected))
            found = variant["quality"][figure]
            for given, computed in zip((found["value"], found["low"], found["high"]), expected):
                self.assertAlmostEqual(given, min(computed, 1) if figure == "same_top" else computed, places=5)

    def compared(self, window, weights):
        """Of each scored position: loss of the variant, loss of the model as stored, KL, whether the tops agree."""
        rows = []
        for flags in (["--weights", weights], []):
            out = self.folder / "logits.safetensors"
            self.succeed("logits", self.model, "--compute", "fast", "--ids", ids_text(window), *flags, "-o", out)
            (_, vocabulary), flat = read_safetensors(out)["logits"]
            rows.append([flat[at:at + vocabulary].tolist() for at in range(0, len(flat), vocabulary)])
        for q, p, target in zip(*rows, window[1:]):
            norm_q, norm_p = (math.log(sum(map(math.exp, row))) for row in (q, p))
            kl = sum(map(operator.mul, (math.exp(x - norm_p) for x in p), map(operator.sub, p, q))) + norm_q - norm_p
            yield norm_q - q[target], norm_p - p[target], kl, float(q.index(max(q)) == p.index(max(p)))

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

    def test_memory_does_not_depend_on_the_order(self):
        """What all share, and what others have freed, is in no variant's workspace."""
        if command_test.options.sanitized:
            self.skipTest("its allocator keeps what is freed")
        larger = self.short_of(MODELS / "demo", 256)
        workspaces = []
        for order in ("bf16+eager,bf16+sdpa", "bf16+sdpa,bf16+eager"):
            self.succeed("study", larger, "--quick", "-r", 1, "-n", 2, "--variants", order, "-o", self.output)
            workspaces.append({v["name"]: v["memory"]["workspace_bytes"] for v in self.results()["variants"]})
            shutil.rmtree(self.output)
        for name, bytes_ in workspaces[0].items():
            self.assertGreater(bytes_, 1e6)
            self.assertAlmostEqual(bytes_, workspaces[1][name], delta=0.15 * bytes_ + 4e5, msg=name)

    def test_what_was_calibrated_on_is_said(self):
        built_in = self.quick[:2] + self.quick[4:]
        said = self.succeed(*built_in, "--variants", "bf16,int8-static").stdout.decode()
        calibration = self.results()["run"]["calibration"]
        self.assertEqual((calibration["windows"], calibration["window_tokens"]), (128, WINDOW))
        self.assertIn(calibration["sha256"], said)
        self.assertIn(calibration["sha256"], (self.output / "results.md").read_text())
        self.assertRegex(said, r"calibrated\s+on\s+the\s+first\s+chapters")

    def test_what_does_not_fit_is_shown(self):
        self.finish()
        needed = [variant["memory"]["needed_bytes"] for variant in self.results()["variants"]]
        self.assertGreater(needed[0], needed[1])
        limit = (needed[0] - 1) / 1e9
        self.succeed(*self.quick, *self.two, "--memory-limit", limit, "--overwrite")
        first, second = self.results()["variants"]
        self.assertEqual((first["status"], second["status"]), ("does_not_fit", "measured"))
        self.assertIsNone(first["latency"])
        self.assertIn("--memory-limit", first["reason"])
        self.assertEqual(self.results()["baseline"], "nf4-dq+sdpa")
        # The limit is another machine's: this one judges by what does not fit there.
        self.assertEqual(self.results()["reference"], "bf16+sdpa")
        self.assertEqual(first["quality"]["ppl_ratio"]["value"], 1)
        self.assertGreater(second["quality"]["ppl_ratio"]["value"], 1.01)
        self.assert_refused([*self.quick, "--variants", "bf16", "--memory-limit", limit, "--overwrite"],
                            "no variant fits", "bf16+sdpa needs", "nf4-dq+sdpa", "would")

    def test_nothing_quantised_is_its_own_reference(self):
        done = self.succeed(*self.quick, "--variants", "log4, int8+sdpa+kv-int8")
        log4, int8, reference = self.results()["variants"]
        self.assertEqual(self.results()["reference"], "bf16+sdpa")
        self.assertEqual((reference["name"], reference["status"]), ("bf16+sdpa", "reference"))
        self.assertIsNone(reference["latency"])
        self.assertGreater(log4["quality"]["ppl_ratio"]["value"], 1.1)
        self.assertGreater(int8["quality"]["kl_mean"]["value"], 0)
        self.assertRegex(done.stdout.decode(), r"bf16\+sdpa .* not timed .*\n")
        for recommendation in self.results()["recommendations"]:
            self.assertNotEqual(recommendation["variant"], "log4+sdpa")
        schema = json.loads((TOP / "docs" / "results.schema.json").read_text())
        self.assertEqual(json_schema.errors(self.results(), schema), [])

    def test_imported_rows(self):
        rows = self.folder / "bench.json"
        rows.write_bytes(self.succeed("bench", self.model, "-p", 8, "-n", 4, "-r", 2, "-t", 1, "-o", "json").stdout)
        done = self.succeed(*self.quick, *self.two, "--import", rows)
        self.assertEqual([row["test"] for row in self.results()["imported"]], ["pp8", "tg4"])
        self.assertRegex(done.stdout.decode(), r"(?m)^.*bf16 +plimsoll .* tg4 ")


if __name__ == "__main__":
    command_test.main()
