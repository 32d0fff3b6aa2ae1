"""plimsoll study, with so little work that it takes seconds."""

import command_test
from command_test import MODELS, CommandTest

# Quick, and trained on the same text as models/demo.
DRAFT = MODELS / "draft"


class Study(CommandTest):
    def setUp(self):
        super().setUp()
        self.text = self.folder / "text.txt"
        self.text.write_text((MODELS / "demo" / "sample.txt").read_text()[:6000])
        self.quick = ["study", DRAFT, "--text", self.text, "-r", 2, "-n", 4]

    def test_json(self):
        result = self.json_of(*self.quick)
        self.assertEqual((result["model"], result["compute"]), (str(DRAFT), "fast"))
        variants = {variant["name"]: variant for variant in result["variants"]}
        self.assertEqual(list(variants)[:3], ["fp32+sdpa", "bf16+sdpa", "fp16+sdpa"])
        for variant in variants.values():
            self.assertGreater(variant["prefill_tokens_per_second"], 0)
            self.assertGreater(variant["decode_tokens_per_second"], 0)
            self.assertEqual(len(variant["decode_seconds"]), 2)
            self.assertEqual(variant["decode_tokens"], 4)
            self.assertGreater(variant["kv_bytes"], 0)
            self.assertTrue(variant["sample"].strip())
            self.assertTrue(1 < variant["ppl"] < 100)
            self.assertGreater(variant["ppl_stderr"], 0)
        fp32, bf16 = variants["fp32+sdpa"], variants["bf16+sdpa"]
        self.assertAlmostEqual(bf16["weight_bytes"] / fp32["weight_bytes"], 0.5, delta=0.01)
        self.assertAlmostEqual(bf16["ppl"], fp32["ppl"], delta=0.02 * fp32["ppl"])
        self.assertIn(result["recommendation"]["variant"], variants)
        self.assertTrue(result["recommendation"]["reason"])
        cost = result["numerics_cost"]
        self.assertEqual(cost["variant"], "fp32+sdpa")
        self.assertEqual((len(cost["fast_decode_seconds"]), len(cost["invariant_prefill_seconds"])), (2, 2))
        self.assertGreater(cost["prefill"], -1)

    def test_quality_is_that_of_eval(self):
        result = self.json_of(*self.quick, "--variants", "fp32")["variants"][0]
        alone = self.json_of("eval", DRAFT, "--text", self.text, "--weights", "fp32", "--compute", "fast")
        self.assertEqual((result["protocol"], result["window"], result["tokens_scored"]),
                         (alone["protocol"], alone["window"], alone["tokens_scored"]))
        self.assertAlmostEqual(result["nll"], alone["nll"], places=6)

    def test_text(self):
        done = self.succeed(*self.quick, "--variants", "bf16,fp16")
        said = done.stdout.decode()
        for column in ("variant", "perplexity", "prefill tok/s", "decode tok/s", "weights", "KV cache"):
            self.assertIn(column, said)
        for variant in ("bf16+sdpa", "fp16+sdpa"):
            self.assertRegex(said, rf"(?m)^{variant.replace('+', '[+]')} +[\d.]+ \+- [\d.]+ +[\d.]+ +\d+ +[\d.]+ ")
        self.assertNotIn("fp32+sdpa", said)
        self.assertRegex(said, r"(?m)^Best: (bf16|fp16)\+sdpa\n  \S")
        self.assertIn("Samples", said)
        self.assertRegex(said, r"(?m)^Numerics: invariant changes the time of prefill by [+-][\d.]+ % and of decoding")

    def test_random_weights_have_no_quality(self):
        arguments = ["study", "shape:gpt2", "--variants", "bf16", "-r", 1, "-n", 1]
        result = self.json_of(*arguments)
        self.assertNotIn("ppl", result["variants"][0])
        self.assertIn("decode_tokens_per_second", result["variants"][0])

    def test_a_limit_that_none_but_the_first_can_meet(self):
        result = self.json_of(*self.quick, "--variants", "fp32,bf16", "--max-ppl-ratio", "1")
        ratio = result["variants"][1]["ppl"] / result["variants"][0]["ppl"]
        if ratio > 1:
            self.assertEqual(result["recommendation"]["variant"], "fp32+sdpa")


if __name__ == "__main__":
    command_test.main()
