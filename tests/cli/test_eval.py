"""plimsoll eval: perplexities counted again here, from the logits that another command writes."""

import hashlib
import math

import command_test
from command_test import MODELS, SHARED, CommandTest, ids_text, read_safetensors

DRAFT = MODELS / "draft"
KEYS = {"protocol", "window", "stride", "bos", "tokens", "tokens_scored", "nll", "ppl", "ppl_stderr",
        "text_sha256", "seconds", "tokens_per_second", "compute", "attention", "numerics", "kv", "weights", "head",
        "isa", "threads", "kernels"}
TEXT = ("The captain stood upon the deck, and looked towards the island. There was no wind, and the sea was "
        "as flat as a table.\nNobody spoke; the men waited for what he would say, and he said nothing. ") * 2


class Protocols(CommandTest):
    """Each protocol as formats.md or its origin describes it, in plain Python."""

    TOKENS = 80

    def setUp(self):
        super().setUp()
        self.text = self.folder / "text.txt"
        self.text.write_text(TEXT)
        ids = self.json_of("tokenize", DRAFT, "-p", TEXT)["ids"]
        self.assertGreater(len(ids), self.TOKENS)
        self.ids = ids[:self.TOKENS]

    def losses(self, ids):
        """Nats for ids[1:], each given those before it."""
        output = self.folder / "out.safetensors"
        self.succeed("logits", DRAFT, "--ids", ids_text(ids), "-o", output)
        (_, vocabulary), logits = read_safetensors(output)["logits"]
        losses = []
        for position, target in enumerate(ids[1:]):
            row = logits[position * vocabulary:(position + 1) * vocabulary]
            top = max(row)
            losses.append(top + math.log(sum(math.exp(x - top) for x in row)) - row[target])
        return losses

    def evaluated(self, protocol, *flags):
        result = self.json_of("eval", DRAFT, "--text", self.text, "--limit-tokens", self.TOKENS, "--protocol",
                              protocol, *flags)
        self.assertLessEqual(KEYS, set(result))
        self.assertEqual(result["protocol"], protocol)
        self.assertEqual(result["compute"], "exact")
        self.assertEqual(result["tokens"], self.TOKENS)
        self.assertEqual(result["text_sha256"], hashlib.sha256(TEXT.encode()).hexdigest())
        self.assertAlmostEqual(result["ppl"], math.exp(result["nll"]), delta=1e-6 * result["ppl"])
        self.assertGreater(result["seconds"], 0)
        self.assertGreater(result["tokens_per_second"], 0)
        return result

    def test_blocks(self):
        result = self.evaluated("blocks", "--window", 32)
        losses = self.losses(self.ids[:32]) + self.losses(self.ids[32:64])  # the tail is dropped
        self.assert_scores(result, losses, window=32, stride=32, bos="front")
        mean = sum(losses) / len(losses)
        spread = math.sqrt(sum((loss - mean) ** 2 for loss in losses)) / len(losses)
        self.assertAlmostEqual(result["ppl_stderr"], result["ppl"] * spread, delta=1e-3 * result["ppl_stderr"])

    def test_hf_strided(self):
        # https://huggingface.co/docs/transformers/perplexity
        result = self.evaluated("hf-strided", "--window", 32, "--stride", 20)
        total, count, scored, previous_end = 0, 0, 0, 0
        for begin in range(0, self.TOKENS, 20):
            end = min(begin + 32, self.TOKENS)
            labels = end - previous_end
            losses = self.losses(self.ids[begin:end])[-labels:]
            total += sum(losses) / len(losses) * (labels - 1)
            count += labels - 1
            scored += len(losses)
            previous_end = end
            if end == self.TOKENS:
                break
        self.assertEqual((result["window"], result["stride"], result["bos"]), (32, 20, "front"))
        self.assertEqual(result["tokens_scored"], scored)
        self.assertAlmostEqual(result["nll"], total / count, places=4)

    def test_llama_cpp(self):
        result = self.evaluated("llama.cpp", "--window", 32)
        losses = []
        for begin in (0, 32):
            chunk = [self.ids[0], *self.ids[begin + 1:begin + 32]]  # BOS over the first token
            losses += self.losses(chunk)[16:]
        self.assertEqual(self.ids[0], 1)
        self.assert_scores(result, losses, window=32, stride=32, bos="each window")

    def assert_scores(self, result, losses, **settings):
        for key, value in settings.items():
            self.assertEqual(result[key], value, key)
        self.assertEqual(result["tokens_scored"], len(losses))
        self.assertAlmostEqual(result["nll"], sum(losses) / len(losses), places=4)

    def test_defaults(self):
        for protocol, window, stride in (("blocks", 512, 512), ("hf-strided", 1024, 512), ("llama.cpp", 512, 512)):
            result = self.json_of("eval", DRAFT, "--protocol", protocol, "--limit-tokens", 1024)
            self.assertEqual((result["window"], result["stride"]), (window, stride))
            self.assertEqual(result["tokens"], 1024)


class Texts(CommandTest):
    def test_built_in(self):
        """The end of the story: what calibration may have seen is not judged."""
        lines = (MODELS / "demo" / "sample.txt").read_bytes().splitlines(keepends=True)
        ends = [b"".join(lines[first:]) for first in range(len(lines))]
        arguments = ["eval", DRAFT, "--limit-tokens", 512]
        built_in = self.json_of(*arguments)
        sha256 = built_in["text_sha256"]
        text = next((end for end in ends if hashlib.sha256(end).hexdigest() == sha256), b"")
        self.assertGreater(len(text), 10_000)
        file = self.folder / "text.txt"
        file.write_bytes(text)
        for given, stdin in ((file, b""), ("-", text)):
            result = self.json_of(*arguments, "--text", given, stdin=stdin)
            for key in ("nll", "text_sha256", "tokens_scored"):
                self.assertEqual(result[key], built_in[key])

    def test_text_output_names_the_protocol(self):
        said = self.succeed("eval", DRAFT, "--limit-tokens", 600, "--window", 128).stdout.decode()
        self.assertRegex(said, r"perplexity [\d.]+ \+- [\d.]+ \(nll [\d.]+ nats\)")
        for part in ("blocks", "window 128", "BOS front", "508 of 600 tokens scored", "exact", "SHA-256"):
            self.assertIn(part, said)

    def test_gpt2_has_no_bos(self):
        result = self.json_of("eval", MODELS / "gpt2-demo", "--limit-tokens", 128, "--window", 64)
        self.assertEqual((result["bos"], result["tokens_scored"]), ("none", 126))
        self.assertLess(result["ppl"], 1000)

    def test_weights_as_asked(self):
        arguments = ["eval", DRAFT, "--limit-tokens", 128, "--window", 64]
        stored, fp32 = self.json_of(*arguments), self.json_of(*arguments, "--weights", "fp32")
        # bf16 weights widened are the same numbers.
        self.assertAlmostEqual(stored["nll"], fp32["nll"], places=5)
        self.assertEqual((stored["weights"], stored["head"]), ("bf16", "bf16"))
        self.assertEqual((fp32["weights"], fp32["head"]), ("fp32", "fp32"))

    def test_what_ran(self):
        arguments = ["eval", DRAFT, "--limit-tokens", 128, "--window", 64, "--weights", "nf4"]
        scalar = self.json_of(*arguments, "--isa", "scalar")
        self.assertEqual((scalar["weights"], scalar["head"], scalar["isa"]), ("nf4", "bf16", "scalar"))
        four_bits = [name for name in scalar["kernels"] if "table4" in name]
        self.assertEqual(len(four_bits), 1)
        self.assertTrue(four_bits[0].endswith("_scalar"), four_bits)
        self.assertTrue(any(name.startswith("attention_") for name in scalar["kernels"]), scalar["kernels"])
        said = self.succeed(*arguments, "--isa", "scalar").stdout.decode()
        self.assertIn("weights nf4, head bf16, exact arithmetic, scalar instructions", said)


class Against(CommandTest):
    """--reference"""

    def test_intervals(self):
        arguments = ["eval", DRAFT, "--weights", "nf4", "--reference", "fp32", "--window", 64]
        result = self.json_of(*arguments, "--limit-tokens", 640)
        self.assertEqual(result["reference"], "fp32")
        for key in ("kl_mean", "same_top", "ppl_ratio"):
            low, high = result[f"{key}_ci"]
            self.assertTrue(low < result[key] < high, key)
        low, high = result["kl_percentiles_ci"]["50"]
        self.assertTrue(low < result["kl_percentiles"]["50"] < high)
        self.assertIsNone(result["kl_percentiles_ci"]["99.9"])  # of 630 positions
        # One window says nothing about the spread between windows.
        result = self.json_of(*arguments, "--limit-tokens", 64)
        for key in ("kl_mean_ci", "same_top_ci", "ppl_ratio_ci"):
            self.assertIsNone(result[key], key)
        self.assertIn("[interval unknown]", self.succeed(*arguments, "--limit-tokens", 64).stdout.decode())

    def test_stored_names_the_format(self):
        result = self.json_of("eval", DRAFT, "--weights", "int8", "--reference", "stored", *("--limit-tokens", 128),
                              "--window", 64)
        self.assertEqual(result["reference"], "bf16")


class Refused(CommandTest):
    def test_random_weights(self):
        self.assert_refused(["eval", "shape:gpt2"], "shape:gpt2", "trained")

    def test_settings(self):
        for flags, mentions in (
                (["--protocol", "word"], ["--protocol", "word", "blocks, hf-strided, llama.cpp"]),
                (["--window", "1"], ["--window", "1", "2"]),
                (["--window", "-5"], ["--window", "-5"]),
                (["--window", "0"], ["--window", "0"]),
                (["--protocol", "hf-strided", "--stride", "0"], ["--stride", "0"]),
                (["--stride", "5"], ["--stride", "blocks"]),
                (["--protocol", "hf-strided", "--window", "64", "--stride", "64"], ["--stride", "64", "63"]),
                (["--weights", "gptq", "--reference", "gptq"], ["--reference", "needs no calibration"]),
                (["--limit-tokens", "-1"], ["--limit-tokens", "-1"]),
                (["--limit-tokens", "100"], ["100 tokens", "512"]),
                (["--window", "4096"], ["--window", "4096", "--allow-long"])):
            with self.subTest(" ".join(flags)):
                self.assert_refused(["eval", DRAFT, *flags], *mentions)


class TreasureIsland(CommandTest):
    """The figures of another implementation."""

    def evaluated(self, *flags):
        text = SHARED / "data" / "treasure-island.txt"
        return self.json_of("eval", MODELS / "demo", "--text", text, "--weights", "fp32", *flags)

    @command_test.slow
    @command_test.needs_shared("data/treasure-island.txt")
    def test_blocks(self):
        result = self.evaluated("--window", 512)
        self.assertEqual((result["tokens"], result["tokens_scored"]), (122669, 122129))
        self.assertAlmostEqual(result["nll"], 3.54846, delta=5e-5)
        self.assertAlmostEqual(result["ppl"], 34.7598, delta=34.7598 * 5e-5)

    @command_test.slow
    @command_test.needs_shared("data/treasure-island.txt")
    def test_hf_strided(self):
        result = self.evaluated("--protocol", "hf-strided", "--window", 1024, "--stride", 512)
        self.assertAlmostEqual(result["nll"], 3.50167, delta=5e-5)
        self.assertAlmostEqual(result["ppl"], 33.1709, delta=33.1709 * 5e-5)


if __name__ == "__main__":
    command_test.main()
