"""plimsoll quantize, and the flags that say how weights are quantised."""

import json

import command_test
from command_test import GOLDEN, MODELS, CommandTest, read_header, read_safetensors

TINY = GOLDEN / "mistral-tiny"
INT8 = GOLDEN / "mistral-tiny-bnb-int8"
DRAFT = MODELS / "draft"
# Little calibration: what it finds is tested elsewhere.
QUICK = ["--calibration-windows", 2, "--calibration-tokens", 64]
EVAL = ["--limit-tokens", 128, "--window", 64]


class Quantize(CommandTest):
    def setUp(self):
        super().setUp()
        self.output = self.folder / "out"

    def quantised(self, source, *flags, output=None):
        """The quantization_config of what is written."""
        self.succeed("quantize", source, "-o", output or self.output, *flags)
        return json.loads(((output or self.output) / "config.json").read_text())["quantization_config"]

    def logits(self, model, *flags):
        output = self.folder / "logits.safetensors"
        ids = ",".join(str(i * 37 % 320) for i in range(24))
        self.succeed("logits", model, "--ids", ids, "-o", output, *flags)
        return read_safetensors(output)["logits"][1]

    def test_bytes_of_the_libraries_own_checkpoint(self):
        for name, source, weights in (("mistral-tiny-bnb-nf4-dq", TINY, "nf4-dq"), ("mistral-tiny-bnb-int8", TINY, "int8"),
                                      ("mistral-tiny-bnb-fp4", TINY, "fp4"),
                                      ("gpt2-tiny-bnb-nf4-dq", GOLDEN / "gpt2-tiny", "nf4-dq")):
            with self.subTest(name):
                output = self.folder / name
                self.quantised(source, "--weights", weights, output=output)
                theirs, their_data = read_header(GOLDEN / name / "model.safetensors")
                ours, our_data = read_header(output / "model.safetensors")
                self.assertEqual(ours, theirs)
                self.assertEqual(our_data, their_data)

    def test_report(self):
        report = self.json_of("quantize", TINY, "--weights", "nf4-dq", "-o", self.output)
        self.assertEqual(len(report["layers"]), 14)
        for layer in report["layers"]:
            self.assertTrue(0.05 < layer["relative_error"] < 0.15, layer)  # nf4 of a normal distribution: 0.09
        self.assertLess(report["bytes"], report["bytes_before"])

    def test_skip_and_include(self):
        config = self.quantised(TINY, "--weights", "nf4", "--skip", "down_proj,q_proj")
        skipped = [f"model.layers.{i}.{name}" for i in (0, 1) for name in ("self_attn.q_proj", "mlp.down_proj")]
        self.assertEqual(sorted(config["llm_int8_skip_modules"]), sorted([*skipped, "lm_head"]))
        header, _ = read_header(self.output / "model.safetensors")
        self.assertEqual(header["model.layers.1.mlp.down_proj.weight"]["dtype"], "F16")
        self.assertEqual(header["model.layers.1.mlp.up_proj.weight"]["dtype"], "U8")
        self.succeed("logits", self.output, "--ids", "1,2", "-o", self.folder / "o")
        config = self.quantised(TINY, "--weights", "nf4", "--include", "lm_head", output=self.folder / "head")
        self.assertEqual(config["llm_int8_skip_modules"], [])
        config = self.quantised(TINY, "--weights", "int4", "--include", "lm_head", output=self.folder / "int4")
        self.assertIs(config["lm_head"], True)
        for flags, mentions in ((["--skip", "down_proj,nothing"], ["--skip", '"nothing"', "mlp.down_proj", "lm_head"]),
                                (["--include", "head"], ["--include", '"head"']),
                                (["--skip", "model"], ["--skip", "every linear layer"])):
            self.assert_refused(["quantize", TINY, "--weights", "nf4", "-o", self.folder / "no", *flags], *mentions)
        self.assertFalse((self.folder / "no").exists())

    def test_outlier_flags(self):
        """They work while quantising and on a checkpoint; scope and threshold are kept in it."""
        token, batch = ["--outlier-threshold", "1.5"], ["--outlier-threshold", "1.5", "--outlier-scope", "batch"]
        in_memory = {scope: self.logits(TINY, "--weights", "int8", "--source-dtype", "fp32", *flags)
                     for scope, flags in (("token", token), ("batch", batch), ("none", ["--outlier-threshold", 0]))}
        self.assertNotEqual(in_memory["token"], in_memory["batch"])
        self.assertNotEqual(in_memory["token"], in_memory["none"])
        self.assertNotEqual(self.logits(INT8), self.logits(INT8, *token))
        self.assertNotEqual(self.logits(INT8, *token), self.logits(INT8, *batch))
        self.assertEqual(self.logits(INT8, "--outlier-threshold", 0), self.logits(INT8, "--weights", "int8-dynamic"))
        config = self.quantised(TINY, "--weights", "int8", "--source-dtype", "fp32", *batch)
        self.assertEqual(config["llm_int8_threshold"], 1.5)
        self.assertEqual(config["plimsoll"]["outlier_scope"], "batch")
        self.assertEqual(self.logits(self.output), in_memory["batch"])
        self.assertEqual(self.logits(self.output, "--outlier-scope", "token"), in_memory["token"])
        self.assertEqual(self.logits(self.output, *token), in_memory["batch"])  # the stored scope

    def test_names_are_kept(self):
        self.quantised(TINY, "--weights", "int4", "--symmetric")
        self.assertEqual(self.json_of("info", self.output)["weights"], "int4")

    def test_info_of_what_is_stored(self):
        self.quantised(TINY, "--weights", "nf4-dq")
        info = self.json_of("info", self.output)
        header, data = read_header(self.output / "model.safetensors")
        self.assertEqual(info["bytes"], len(data))
        self.assertEqual(sum(info["bytes_by_part"].values()), len(data))
        self.assertEqual(info["format_by_part"]["mlp"], "nf4-dq")
        self.assertEqual(info["format_by_part"]["head"], "fp16")
        self.assertNotIn("int8", info["bytes_by_format"])
        self.assertIn("nf4-dq", self.succeed("info", self.output).stdout.decode())

    def test_output_folder(self):
        for output, mention in ((".", "something there already"), ("", "empty name"), (TINY, "something there")):
            self.assert_refused(["quantize", TINY, "--weights", "nf4", "-o", output], mention)
        self.output.mkdir()
        self.succeed("quantize", TINY, "--weights", "nf4", "-o", f"{self.output}/")
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["out"])
        self.assertIn("config.json", [path.name for path in self.output.iterdir()])

    def test_refused(self):
        for flags, mentions in (
                ([], ["--weights", "none"]), (["--weights", "fp16"], ["--weights", "fp16"]),
                (["--weights", "int5"], ["int5", "nf4-dq"])):
            self.assert_refused(["quantize", TINY, "-o", self.output, *flags], *mentions)
        self.assert_refused(["quantize", INT8, "--weights", "nf4", "-o", self.output], "quantised already", "int8")
        self.assert_refused(["quantize", "shape:gpt2", "--weights", "nf4", "-o", self.output], "random")
        self.assertEqual(list(self.folder.iterdir()), [])


class FlagsThatDoNotApply(CommandTest):
    def test_refused(self):
        for flags, mentions in (
                (["--weights", "nf4", "--group", 64], ["--group", "nf4", "int4, gptq"]),
                (["--weights", "gptq", "--symmetric"], ["--symmetric", "gptq"]),
                (["--weights", "int8-dynamic", "--outlier-threshold", 3], ["--outlier-threshold", "int8-dynamic"]),
                (["--weights", "int4", "--calibration", "x"], ["--calibration", "int8-static, gptq"]),
                (["--weights", "gptq", "--observer", "mse"], ["--observer", "int8-static"]),
                (["--weights", "fp16", "--skip", "lm_head"], ["--skip", "fp16"]),
                (["--act-order"], ["--act-order", "as stored"]),
                (["--weights", "int4", "--group", 0], ["--group", "32, 64 or 128"])):
            with self.subTest(" ".join(map(str, flags))):
                self.assert_refused(["logits", TINY, "--ids", 1, "-o", self.folder / "out", *flags], *mentions)

    def test_calibration_counts(self):
        for flag in ("--calibration-windows", "--calibration-tokens"):
            for value in (0, -1):
                self.assert_refused(["eval", DRAFT, "--weights", "gptq", flag, value], flag, value)


class Calibrated(CommandTest):
    def setUp(self):
        super().setUp()
        self.text = self.folder / "calibration.txt"
        self.text.write_text("\n".join(f"The boat number {i} lay at the quay, and nobody came." for i in range(60)))
        self.output = self.folder / "out"

    def test_source_is_kept_and_named(self):
        self.succeed("quantize", DRAFT, "--weights", "gptq", "-o", self.output, "--calibration", self.text, *QUICK)
        result = self.json_of("eval", self.output, *EVAL)
        self.assertEqual(result["calibration"]["text"], str(self.text))
        self.assertEqual((result["calibration"]["windows"], result["calibration"]["window_tokens"]), (2, 64))
        self.assertEqual(result["weights"], "gptq")
        # What comes too late is said, not read.
        done = self.succeed("run", self.output, "--weights", "gptq", "--calibration", "/nonexistent", "-p", "The", "-n", 1)
        self.assertIn("quantised already, as gptq: --calibration is not used", done.stderr)
        # The text that it was calibrated on cannot judge it.
        self.assert_refused(["eval", self.output, *EVAL, "--text", self.text], self.text, "evaluated text itself")

    def test_evaluated_text_is_refused(self):
        self.assert_refused(["eval", DRAFT, "--weights", "gptq", *QUICK, *EVAL, "--text", self.text, "--calibration",
                             self.text], self.text, "evaluated text")
        copy = self.folder / "copy.txt"
        copy.write_text("Another beginning.\n" + self.text.read_text())
        self.assert_refused(["eval", DRAFT, "--weights", "gptq", *QUICK, *EVAL, "--text", copy, "--calibration",
                             self.text], self.text, "passages")
        # The story whole holds the chapters that calibration draws from.
        sample = MODELS / "demo" / "sample.txt"
        self.assert_refused(["eval", DRAFT, "--weights", "int8-static", *QUICK, "--text", sample], "first chapters")
        self.assert_refused(["study", DRAFT, "--variants", "gptq", "--text", sample], "first chapters")
        # But what is scored is what counts: its end alone is another text.
        end = self.folder / "end.txt"
        end.write_text(sample.read_text()[-8000:])
        result = self.json_of("eval", DRAFT, "--weights", "int8-static", *QUICK, *EVAL, "--text", end)
        self.assertIn("first chapters", result["calibration"]["text"])

    def test_too_short(self):
        self.text.write_text("The boat.")
        self.assert_refused(["quantize", DRAFT, "--weights", "gptq", "-o", self.output, "--calibration", self.text],
                            self.text, "tokens", "512")
        self.assertFalse(self.output.exists())
        # The evaluated text is looked at before the long work: nothing was calibrated.
        said = self.assert_refused(["eval", DRAFT, "--weights", "gptq", "--text", self.text], "the text", "512")
        self.assertNotIn("calibrating", said)

    def test_missing(self):
        self.assert_refused(["quantize", DRAFT, "--weights", "gptq", "-o", self.output, "--calibration",
                             self.folder / "none"], self.folder / "none")

    def test_window_is_at_most_the_context(self):
        """gpt2-tiny has learned 96 positions, less than the usual 512, and no tokenizer."""
        self.assert_refused(["logits", GOLDEN / "gpt2-tiny", "--weights", "gptq", "--ids", 1, "-o", self.output,
                             "--calibration-tokens", 97], "--calibration-tokens", "97", "96")


class AutoGptqFolder(CommandTest):
    def test_settings_in_a_file_of_their_own(self):
        """As AutoGPTQ wrote them; without any, the missing field is named."""
        output = self.folder / "gptq"
        self.succeed("quantize", TINY, "--weights", "int4", "--group", 32, "-o", output)
        config = json.loads((output / "config.json").read_text())
        settings = config.pop("quantization_config")
        (output / "config.json").write_text(json.dumps(config))
        run = ["run", output, "--prompt-ids", "1,2,3", "-n", 4, "--print-ids", "--ignore-eos"]
        self.assert_refused(run, "config.json", "quantization_config", "g_idx")
        del settings["quant_method"]
        (output / "quantize_config.json").write_text(json.dumps(settings))
        given = self.succeed(*run).stdout
        in_memory = self.succeed("run", TINY, *run[2:], "--weights", "int4", "--group", 32).stdout
        self.assertEqual(given, in_memory)
        settings["bits"] = 3
        (output / "quantize_config.json").write_text(json.dumps(settings))
        self.assertIn("bits: found 3, expected 4\n", self.assert_refused(run))


if __name__ == "__main__":
    command_test.main()
