"""--device cuda: what a GPU computes is what the CPU computes, and what it cannot do is refused."""

import json
import math
import shutil

import command_test
from command_test import GOLDEN, MODELS, CommandTest, ids_text, read_safetensors

IDS = [1 + (37 * i * i + 11 * i) % 290 for i in range(40)]
# Root mean square of the difference over that of the logits: what a GPU rounds and a CPU does not, activations to f16
# (2^-11) or bf16 (2^-8), levels of 4 bits to 1/126, over the few layers of these models.
TOLERANCES = {"fp32": 1e-3, "fp16": 1e-2, "bf16": 5e-2, "int8": 1e-1, "nf4-dq": 5e-2}


def root_mean_square(values):
    return math.sqrt(sum(value * value for value in values) / len(values))


class Refused(CommandTest):
    def test_no_such_gpu(self):
        self.assert_refused(["run", MODELS / "draft", "-p", "x", "--device", "cuda:99"], "--device", "cuda:99")
        self.assert_refused(["run", MODELS / "draft", "-p", "x", "--device", "cuda:x"], "cuda:x", "cpu, cuda or cuda:N")

    def test_commands_that_compute_on_the_cpu_say_so(self):
        quantize = ["quantize", MODELS / "draft", "--weights", "nf4", "-o", self.folder / "x"]
        self.assert_refused([*quantize, "--device", "cuda"], "--device", "cpu", "quantize", "--device cuda")
        self.assertFalse((self.folder / "x").exists())
        for command in (["info", MODELS / "draft"], ["tokenize", MODELS / "draft", "-p", "x"]):
            self.assert_refused([*command, "--device", "cuda"], "--device")

    def test_doctor_says_what_there_is(self):
        report = self.json_of("doctor")
        said = self.succeed("doctor").stdout.decode()
        self.assertEqual(report["devices"], ["cpu", *(gpu["device"] for gpu in report["gpus"])])
        if not report["gpus"]:
            text = self.folder / "text.txt"
            text.write_text("The captain went down to the sea.\n" * 50)
            arguments = ["finetune", MODELS / "draft", "--data", text, "-o", self.folder / "x", "--device"]
            merge = ["merge", GOLDEN / "mistral-tiny", "--adapter", GOLDEN / "mistral-tiny-lora", "-o",
                     self.folder / "x", "--device"]
            for command in (arguments, merge):
                self.assert_refused([*command, "cuda"], "--device", "expected cpu: no GPU can be used")
            self.assertFalse((self.folder / "x").exists())
            self.assertRegex(said, r"(?m)^GPU       none: .+$")
            self.assert_refused(["logits", MODELS / "draft", "--ids", "1", "-o", self.folder / "x", "--device", "cuda"],
                                "--device", "cuda", "cpu")
        for gpu in report["gpus"]:
            self.assertIn(gpu["name"], said)


class OnTheGpu(CommandTest):
    def setUp(self):
        super().setUp()
        if not self.json_of("doctor")["gpus"]:
            self.skipTest("no GPU")

    def logits(self, model, *flags):
        output = self.folder / "logits.safetensors"
        self.succeed("logits", model, "--ids", ids_text(IDS), "-o", output, *flags)
        return read_safetensors(output)["logits"][1]

    def test_logits_are_the_cpus(self):
        for model in ("gpt2-tiny", "llama-tiny", "mistral-tiny", "qwen2-tiny", "llama3-tiny"):
            for weights, tolerance in TOLERANCES.items():
                for kv in ("fp32", "fp16"):
                    with self.subTest(model=model, weights=weights, kv=kv):
                        flags = ["--weights", weights, "--kv", kv]
                        expected = self.logits(GOLDEN / model, *flags)
                        actual = self.logits(GOLDEN / model, *flags, "--device", "cuda")
                        error = root_mean_square([a - b for a, b in zip(actual, expected)])
                        self.assertLess(error, tolerance * root_mean_square(expected))

    def narrowed(self, hidden, intermediate):
        """mistral-tiny with fewer columns of residual stream and MLP."""
        model = self.copy_of(GOLDEN / "mistral-tiny")
        sizes = {"lm_head": (320, hidden), "embed_tokens": (320, hidden), "layernorm": (hidden,), "model.norm": (hidden,),
                 "gate_proj": (intermediate, hidden), "up_proj": (intermediate, hidden), "down_proj": (hidden, intermediate),
                 "q_proj": (128, hidden), "k_proj": (64, hidden), "v_proj": (64, hidden), "o_proj": (hidden, 128)}
        header, data = {}, b""
        for name, (shape, values) in read_safetensors(model / "model.safetensors").items():
            cut = next(size for part, size in sizes.items() if part in name)
            rows = [values[i * shape[-1]:i * shape[-1] + cut[-1]] for i in range(cut[0] if len(cut) == 2 else 1)]
            piece = b"".join(row.tobytes() for row in rows)
            header[name] = {"dtype": "F32", "shape": list(cut), "data_offsets": [len(data), len(data) + len(piece)]}
            data += piece
        command_test.write_with_header(model / "model.safetensors", header, data)
        config = json.loads((model / "config.json").read_text())
        config.update(hidden_size=hidden, intermediate_size=intermediate)
        (model / "config.json").write_text(json.dumps(config))
        return model

    def test_odd_widths(self):
        for weights, hidden, intermediate in (("fp32", 77, 171), ("fp16", 77, 171), ("bf16", 90, 172), ("int8", 77, 171),
                                              ("nf4-dq", 78, 170)):
            model = self.narrowed(hidden, intermediate)
            with self.subTest(weights=weights):
                flags = ["--weights", weights]
                expected = self.logits(model, *flags)
                actual = self.logits(model, *flags, "--device", "cuda")
                error = root_mean_square([a - b for a, b in zip(actual, expected)])
                self.assertLess(error, TOLERANCES[weights] * root_mean_square(expected))
                # More rows than gemv takes, in chunks whose rows do not matter.
                long = ids_text([1 + (37 * i) % 290 for i in range(90)])
                found = []
                for device in ("cpu", "cuda"):
                    output = self.folder / "long.safetensors"
                    self.succeed("logits", model, "--ids", long, "-o", output, "--device", device, *flags)
                    found.append(read_safetensors(output)["logits"][1])
                error = root_mean_square([a - b for a, b in zip(*found)])
                self.assertLess(error, TOLERANCES[weights] * root_mean_square(found[0]))
            shutil.rmtree(model)

    def test_token_by_token_is_all_at_once(self):
        # Single steps, a graph replayed, against prompts of every length.
        model = MODELS / "demo"
        flags = ["--device", "cuda", "--weights", "fp16", "--ignore-eos", "--format", "json"]
        text = self.json_of_run(model, IDS[:5], 30, flags)
        for count in (1, 2, 17):
            again = self.json_of_run(model, IDS[:5] + text[:count], 30 - count, flags)
            self.assertEqual(again[:4], text[count:count + 4])

    def json_of_run(self, model, ids, count, flags):
        return json.loads(self.succeed("run", model, "--prompt-ids", ids_text(ids), "-n", count, *flags).stdout)["ids"]

    def test_greedy_is_what_a_sampler_of_one_takes(self):
        # Chosen on the GPU, a step ahead, against logits that came to the host.
        flags = ["--device", "cuda", "--ignore-eos", "--format", "json"]
        there = self.json_of_run(MODELS / "demo", IDS[:5], 40, flags)
        here = self.json_of_run(MODELS / "demo", IDS[:5], 40, [*flags, "--temperature", 1, "--top-k", 1])
        self.assertEqual(there, here)

    def test_eager_attention(self):
        # Grouped heads, a window, learned positions; two chunks, the second one behind held keys.
        for model, kv in (("gpt2-tiny", "fp16"), ("mistral-tiny", "fp32"), ("mistral-tiny", "int8"), ("qwen2-tiny", "bf16")):
            with self.subTest(model=model, kv=kv):
                flags = ["--weights", "fp32", "--kv", kv, "--attention", "eager", "--prefill-chunk", 25]
                expected = self.logits(GOLDEN / model, *flags)
                actual = self.logits(GOLDEN / model, *flags, "--device", "cuda")
                error = root_mean_square([a - b for a, b in zip(actual, expected)])
                self.assertLess(error, TOLERANCES[kv] / 2 * root_mean_square(expected))
        said = self.succeed("logits", GOLDEN / "gpt2-tiny", "--ids", ids_text(IDS), "-o", self.folder / "x", "--explain",
                            "--device", "cuda", "--attention", "eager").stderr
        self.assertIn("attention_eager_cuda (--attention eager)", said)
        for threshold, wanted in (("6", True), ("0", False)):
            said = self.succeed("logits", GOLDEN / "gpt2-tiny", "--ids", ids_text(IDS[:5]), "-o", self.folder / "x",
                                "--explain", "--device", "cuda", "--weights", "int8", "--outlier-threshold", threshold).stderr
            self.assertIn("gemv_int8_cuda: few rows", said)
            self.assertEqual("every activation is multiplied in 16 bits" in said, wanted)
        # Steps, captured as a graph.
        flags = ["--device", "cuda", "--ignore-eos", "--format", "json", "--weights", "fp16"]
        eager = self.json_of_run(MODELS / "demo", IDS[:5], 30, [*flags, "--attention", "eager"])
        self.assertEqual(eager, self.json_of_run(MODELS / "demo", IDS[:5], 30, flags))

    def test_adapters(self):
        for base in ("mistral-tiny", "gpt2-tiny"):
            adapter = ["--adapter", GOLDEN / f"{base}-lora"]
            for weights, tolerance in TOLERANCES.items():
                with self.subTest(base=base, weights=weights):
                    flags = ["--weights", weights]
                    expected = self.logits(GOLDEN / base, *flags, *adapter)
                    actual = self.logits(GOLDEN / base, *flags, *adapter, "--device", "cuda")
                    none = self.logits(GOLDEN / base, *flags, "--device", "cuda")
                    error = root_mean_square([a - b for a, b in zip(actual, expected)])
                    self.assertLess(error, tolerance * root_mean_square(expected))
                    self.assertGreater(root_mean_square([a - b for a, b in zip(none, expected)]), 2 * error)
            # Two of half the weight, over prompts of more than 64 rows too.
            halves = [each for _ in range(2) for each in ("--adapter", f"{GOLDEN / f'{base}-lora'}:0.5")]
            long = ids_text([1 + (37 * i) % 290 for i in range(90)])
            both = []
            for flags in (adapter, halves):
                output = self.folder / "long.safetensors"
                self.succeed("logits", GOLDEN / base, "--ids", long, "-o", output, "--device", "cuda", *flags)
                both.append(read_safetensors(output)["logits"][1])
            error = root_mean_square([a - b for a, b in zip(*both)])
            self.assertLess(error, 1e-4 * root_mean_square(both[0]))

    def test_invariant_chunks(self):
        found = []
        for chunk in (1, 9, 40):
            self.logits(MODELS / "demo", "--numerics", "invariant", "--weights", "nf4-dq", "--device", "cuda",
                        "--prefill-chunk", chunk)
            found.append((self.folder / "logits.safetensors").read_bytes())
        self.assertEqual(len(set(found)), 1)

    def test_what_it_cannot_do_is_refused(self):
        self.assert_refused(["run", MODELS / "draft", "-p", "x", "--device", "cuda", "--compute", "exact"], "--compute",
                            "exact")
        self.assert_refused(["run", MODELS / "draft", "-p", "x", "--device", "cuda", "--attention", "eager", "--numerics",
                             "invariant"], "--attention", "eager", "invariant")
        self.assert_refused(["logits", GOLDEN / "llama3-tiny", "--ids", "1", "-o", self.folder / "x", "--weights", "int8",
                             "--outlier-scope", "batch", "--device", "cuda"], "--outlier-scope batch")
        self.assertFalse((self.folder / "x").exists())

    def test_eval_and_bench(self):
        scored = self.json_of("eval", MODELS / "demo", "--limit-tokens", 600, "--device", "cuda", "--weights", "fp16")
        exact = self.json_of("eval", MODELS / "demo", "--limit-tokens", 600, "--weights", "fp16")
        self.assertEqual(scored["device"], "cuda")
        self.assertAlmostEqual(scored["nll"], exact["nll"], delta=2e-3)
        done = self.succeed("bench", MODELS / "demo", "--device", "cuda", "-p", 20, "-n", 8, "--batch", "1,3", "-r", 2,
                            "--weights", "fp16,nf4-dq", "-o", "json")
        rows = json.loads(done.stdout)
        self.assertEqual(len(rows), 8)
        for row in rows:
            self.assertEqual(row["backend"], "CUDA")
            self.assertTrue(row["gpu_info"])
            self.assertGreater(row["peak_memory_bytes"], row["model_size"])
            # The host takes the first token behind a prompt.
            self.assertTrue(all(kernel.endswith("_cuda") for kernel in set(row["kernels"]) - {"sample"}), row["kernels"])


if __name__ == "__main__":
    command_test.main()
