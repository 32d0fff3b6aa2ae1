"""Help, version, exit statuses and flags that are not there."""

import json
import pathlib
import re
import subprocess
import unittest

import command_test
from command_test import MODELS, CommandTest

DEMO = MODELS / "demo"
FORMATS = ("fp32", "fp16", "bf16", "int8", "nf4", "int4")


class Help(CommandTest):
    def test_program(self):
        for flag in ("--help", "-h"):
            done = self.succeed(flag)
            self.assertEqual(done.stderr, "")
            for command in ("study", "run", "eval", "logits", "tokenize", "info", "doctor"):
                self.assertRegex(done.stdout.decode(), rf"(?m)^  {command}  +\S")
            self.assertIn("plimsoll study models/demo", done.stdout.decode())

    def test_every_command_has_examples(self):
        listed = self.succeed("--help").stdout.decode().split("Subcommands:")[1]
        commands = re.findall(r"(?m)^  (\w[\w-]*)", listed)
        self.assertGreaterEqual(len(commands), 7)
        for command in commands:
            with self.subTest(command):
                done = self.succeed(command, "--help")
                self.assertEqual(done.stderr, "")
                self.assertRegex(done.stdout.decode(), rf"\nExamples?\b.*:\n(.|\n)*\bplimsoll {command}\b")

    def test_version(self):
        done = self.succeed("--version")
        self.assertRegex(done.stdout.decode(), r"\Aplimsoll \d+\.\d+\.\d+\n\Z")


class Unknown(CommandTest):
    def test_command(self):
        self.assert_refused([], "subcommand", "--help")
        self.assert_refused(["frobnicate"], "frobnicate", "--help")
        self.assert_refused(["frobnicate", DEMO], "frobnicate")

    def test_flag(self):
        for command in ("run", "eval", "logits", "tokenize", "info", "doctor", "study"):
            with self.subTest(command):
                self.assert_refused([command, DEMO, "--frobnicate"], "--frobnicate")
        self.assert_refused(["--frobnicate"], "--frobnicate")

    def test_missing(self):
        for command in ("run", "eval", "logits", "tokenize", "info", "study"):
            with self.subTest(command):
                self.assert_refused([command], "required")
        self.assert_refused(["logits", DEMO, "--ids", "1"], "--output", "required")
        self.assert_refused(["logits", DEMO, "-o", self.folder / "out"], "--ids", "required")
        self.assert_refused(["tokenize", DEMO], "-p")
        self.assert_refused(["tokenize", DEMO, "-p", "x", "--file", "y"], "-p", "--file")
        self.assert_refused(["run", DEMO, "-p"], "--prompt", "required")

    def test_values(self):
        for flags, mentions in ((["-n", "many"], ["-n", "many"]), (["--seed", "x"], ["--seed", "x"]),
                                (["-t", "-1"], ["--threads", "-1"]), (["-t", "99999999999"], ["--threads"]),
                                (["--format", "xml"], ["--format", "xml", "json"]),
                                (["--compute", "sloppy"], ["--compute", "sloppy", "exact", "fast"]),
                                (["--attention", "origami"], ["--attention", "origami", "eager", "flash", "sdpa"]),
                                (["--kv", "q4_0"], ["--kv", "q4_0", "fp32", "bf16", "fp16", "int8"]),
                                (["--prefill-chunk", "-1"], ["--prefill-chunk", "-1"]),
                                (["--numerics", "vague"], ["--numerics", "vague", "auto", "fast", "invariant"]),
                                (["--weights", "q4_k_m"], ["--weights", "q4_k_m", *FORMATS]),
                                (["--isa", "mmx"], ["--isa", "mmx", "avx2", "avx512"]),
                                (["--device", "cuda:99"], ["--device", "cuda:99"]),
                                (["--device", "toaster"], ["--device", "toaster", "cpu"]), (["-n", "-2"], ["--max-new-tokens", "-2"])):
            with self.subTest(" ".join(flags)):
                self.assert_refused(["run", DEMO, "-p", "x", *flags], *mentions)
        self.assert_refused(["study", DEMO, "--variants", "fp32,q4"], "q4", *FORMATS)
        self.assert_refused(["study", DEMO, "--variants", "fp32+origami"], "origami", "eager")
        self.assert_refused(["study", DEMO, "--variants", "fp32,fp32"], "--variants", "twice")
        self.assert_refused(["study", DEMO, "-r", "0"], "--repeats", "0")

    def test_both_models(self):
        self.assert_refused(["info", DEMO, MODELS / "draft"], "draft")


class Info(CommandTest):
    def test_demo(self):
        result = self.json_of("info", DEMO)
        config = json.loads((DEMO / "config.json").read_text())
        self.assertEqual(result["architecture"], "mistral")
        for key, field in (("layers", "num_hidden_layers"), ("hidden_size", "hidden_size"),
                           ("vocab_size", "vocab_size"), ("sliding_window", "sliding_window"),
                           ("context", "max_position_embeddings")):
            self.assertEqual(result[key], config[field], key)
        # Counted by hand: embedding (tied), six layers of projections and norms, the final norm.
        layer = 384 * (384 + 2 * 128 + 384) + 3 * 384 * 1024 + 2 * 384
        self.assertEqual(result["parameters"], 4096 * 384 + 6 * layer + 384)
        header, data = command_test.read_header(DEMO / "model.safetensors")
        self.assertEqual(result["parameters"] * 2, len(data))
        self.assertEqual(result["bytes_by_format"]["fp32"], 2 * len(data))
        self.assertEqual(result["kv_bytes_per_token"] % (2 * 6 * 2 * 64), 0)  # K and V, layers, heads, head_dim
        self.assertLessEqual(set(FORMATS), set(result["bytes_by_format"]))
        self.assertGreater(result["bytes_by_format"]["int8"], result["bytes_by_format"]["nf4"])
        self.assertGreater(sum(result["bytes_by_part"].values()), 2 * result["parameters"] - 1)

    def test_shapes(self):
        for shape, parameters in (("gpt2", 124_439_808), ("gpt2-xl", 1_557_611_200), ("llama-2-7b", 6_738_415_616),
                                  ("llama-3-8b", 8_030_261_248), ("mistral-7b", 7_241_732_096),
                                  ("tinyllama-1.1b", 1_100_048_384)):
            with self.subTest(shape):
                result = self.json_of("info", f"shape:{shape}")
                self.assertEqual(result["parameters"], parameters)
                self.assertGreater(result["bytes_by_format"]["fp32"], 4 * parameters - 1)

    def test_text(self):
        said = self.succeed("info", DEMO).stdout.decode()
        for part in ("mistral", "11.0 M", "kv_bytes_per_token", "attention", "nf4-dq", "MB"):
            self.assertIn(part, said)


class Tokenize(CommandTest):
    def test_ids_and_pieces(self):
        result = self.json_of("tokenize", DEMO, "-p", "The captain")
        self.assertEqual(result["pieces"][0], "<s>")
        self.assertEqual("".join(result["pieces"][1:]).replace("\u2581", " ").strip(), "The captain")
        self.assertEqual(len(result["ids"]), len(result["pieces"]))
        vocabulary = json.loads((DEMO / "tokenizer.json").read_text())["model"]["vocab"]
        self.assertEqual(result["ids"], [vocabulary[piece] for piece in result["pieces"]])

    def test_json_is_the_default(self):
        done = self.succeed("tokenize", DEMO, "-p", "The captain")
        self.assertLessEqual({"ids", "pieces"}, set(json.loads(done.stdout)))

    def test_byte_level(self):
        text = "Ahoy, na\u00efve \u2693!"
        result = self.json_of("tokenize", MODELS / "gpt2-demo", "-p", text)
        vocabulary = json.loads((MODELS / "gpt2-demo" / "vocab.json").read_text())
        self.assertEqual(result["ids"], [vocabulary[piece] for piece in result["pieces"]])
        self.assertNotIn(vocabulary["<|endoftext|>"], result["ids"])  # GPT-2 adds no BOS
        self.assertEqual(result["offsets"][-1][1], len(text.encode()))

    def test_no_bos(self):
        ids = self.json_of("tokenize", DEMO, "-p", "Ahoy")["ids"]
        self.assertEqual(self.json_of("tokenize", DEMO, "-p", "Ahoy", "--no-bos")["ids"], ids[1:])

    def test_special_tokens_only_when_asked(self):
        self.assertNotIn(2, self.json_of("tokenize", DEMO, "-p", "</s>")["ids"])
        self.assertIn(2, self.json_of("tokenize", DEMO, "-p", "</s>", "--parse-special")["ids"])

    def test_file(self):
        text = (DEMO / "sample.txt").read_bytes()
        result = self.json_of("tokenize", DEMO, "--file", DEMO / "sample.txt")
        self.assertEqual(result["bytes"], len(text))
        self.assertEqual(result["tokens"], len(self.json_of("tokenize", DEMO, "-p", text.decode())["ids"]))


class StandardOutput(CommandTest):
    @unittest.skipUnless(pathlib.Path("/dev/full").exists(), "needs /dev/full")
    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([command_test.options.program, "info", str(DEMO)], stdout=full,
                                  stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr.decode(), r"\Aplimsoll: standard output: [^\n]+\n\Z")


if __name__ == "__main__":
    command_test.main()
