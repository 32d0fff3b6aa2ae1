"""plimsoll finetune and merge, from the command line to files that PEFT and transformers would open."""

import json
import math
import resource
import signal
import subprocess
import time

import command_test
from command_test import GOLDEN, MODELS, CommandTest, ids_text, read_header, read_safetensors, relative_to_largest

DRAFT = MODELS / "draft"
TEXT = "".join(f"The {noun} went down to the sea, and the {noun} came back with {count} shells.\n"
               for count in range(40) for noun in ("captain", "cook", "boy", "old man"))
FAST = ["--seq", "32", "--batch", "2", "-t", "1"]


class Finetune(CommandTest):
    def setUp(self):
        super().setUp()
        self.text = self.folder / "text.txt"
        self.text.write_text(TEXT)

    def arguments(self, output, *flags, model=DRAFT, data=None):
        return ["finetune", model, "--data", data or self.text, "-o", output, *FAST, *flags]

    def finetune(self, name, *flags, **more):
        output = self.folder / name
        result = self.json_of(*self.arguments(output, *flags, **more))
        rows = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
        return output, result, rows

    def test_adapter_learns_and_is_used(self):
        output, result, rows = self.finetune("adapter", "--steps", 10, "--rank", 4, "--lr", "3e-3")
        self.assertEqual({"step": 0}.items() & rows[0].items(), {("step", 0)})
        self.assertEqual([set(row) for row in rows[1:-1]], [{"step", "loss", "lr", "tokens_per_second"}] * 10)
        self.assertEqual([row["step"] for row in rows[1:]], [*range(1, 11), 10])
        for row in (rows[0], rows[-1]):
            self.assertAlmostEqual(math.exp(row["eval_nll"]), row["eval_ppl"], delta=1e-6 * row["eval_ppl"])
        self.assertEqual((result["ppl_before"], result["ppl_after"]), (rows[0]["eval_ppl"], rows[-1]["eval_ppl"]))
        self.assertLess(rows[-1]["eval_nll"], rows[0]["eval_nll"] - 0.5)
        self.assertLess(rows[10]["loss"], rows[1]["loss"] - 0.3)
        # Cosine to zero behind the warm-up.
        self.assertAlmostEqual(rows[5]["lr"], 3e-3)
        self.assertLess(rows[10]["lr"], 6e-4)
        # PEFT's files, and nothing that a finished run does not need.
        self.assertEqual({file.name for file in output.iterdir()},
                         {"adapter_config.json", "adapter_model.safetensors", "metrics.jsonl"})
        config = json.loads((output / "adapter_config.json").read_text())
        self.assertEqual((config["peft_type"], config["r"], config["lora_alpha"]), ("LORA", 4, 32))
        self.assertEqual(config["target_modules"], ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj",
                                                    "v_proj"])
        header, _ = read_header(output / "adapter_model.safetensors")
        self.assertIn("base_model.model.model.layers.0.mlp.up_proj.lora_A.weight", header)
        # The command that uses it sees the same improvement.
        evaluate = ["eval", DRAFT, "--text", self.text, "--window", 32]
        self.assertLess(self.json_of(*evaluate, "--adapter", output)["nll"], self.json_of(*evaluate)["nll"] - 0.5)

    def test_held_out_perplexity_is_that_of_eval(self):
        ids = self.json_of("tokenize", DRAFT, "-p", TEXT)["ids"]
        _, _, rows = self.finetune("adapter", "--steps", 1)
        begin = len(ids) - len(ids) // 10
        windows = [ids[at:at + 32] for at in range(begin, len(ids) - 31, 32)]
        losses = []
        for window in windows[:3]:
            out = self.folder / "out.safetensors"
            self.succeed("logits", DRAFT, "--ids", ids_text(window), "-o", out)
            (_, vocabulary), logits = read_safetensors(out)["logits"]
            for position, target in enumerate(window[1:]):
                row = logits[position * vocabulary:(position + 1) * vocabulary]
                losses.append(math.log(sum(math.exp(x) for x in row)) - row[target])
        self.assertGreaterEqual(len(windows), 3)
        if len(windows) == 3:
            self.assertAlmostEqual(rows[0]["eval_nll"], sum(losses) / len(losses), places=4)

    def test_killed_runs_resume_bit_for_bit(self):
        flags = ["--steps", 8, "--checkpoint-every", 3, "--dropout", "0.1", "--grad-accum", 2]
        whole, _, rows = self.finetune("whole", *flags)
        output = self.folder / "killed"
        process = subprocess.Popen([command_test.options.program, *map(str, self.arguments(output, *flags))],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=command_test.TOP)
        metrics = output / "metrics.jsonl"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if metrics.exists() and metrics.read_text().count("\n") >= 6:
                break
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (output / "adapter_config.json").exists():
            self.skipTest("the run was over before it could be killed")
        self.json_of(*self.arguments(output, *flags, "--resume"))
        resumed = [json.loads(line) for line in metrics.read_text().splitlines()]
        for row in rows + resumed:
            row.pop("tokens_per_second", None)
        self.assertEqual(resumed, rows)
        for name in ("adapter_model.safetensors", "adapter_config.json"):
            self.assertEqual((output / name).read_bytes(), (whole / name).read_bytes())

    def test_resume_needs_the_same_settings(self):
        output = self.folder / "run"
        arguments = self.arguments(output, "--steps", 400, "--checkpoint-every", 1)
        process = subprocess.Popen([command_test.options.program, *map(str, arguments)], cwd=command_test.TOP,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (output / "training-state.safetensors").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=60), 130)
        self.assert_refused([*arguments, "--resume", "--lr", "0.5"], "lr", "0.5")
        self.assert_refused(arguments, "something there already")

    def test_conversations_learn_the_answers_alone(self):
        data = self.folder / "talk.jsonl"
        lines = [{"messages": [{"role": "user", "content": f"Count {n}"}, {"role": "assistant", "content": "One two"}]}
                 for n in range(8)]
        lines += [{"prompt": "Say it: ", "completion": "One two"}] * 8
        data.write_text("\n".join(map(json.dumps, lines)) + "\n")
        _, result, rows = self.finetune("adapter", "--steps", 8, "--lr", "5e-3", data=data)
        self.assertLess(result["ppl_after"], result["ppl_before"] / 2)
        self.assertLess(rows[8]["loss"], rows[1]["loss"])

    def test_dense_weights(self):
        for what in ("full", "last-layers=1"):
            output, result, _ = self.finetune(what, "--train", what, "--steps", 3, "--lr", "2e-3",
                                              model=MODELS / "gpt2-demo")
            self.assertLess(result["ppl_after"], result["ppl_before"])
            evaluate = ["--text", self.text, "--window", 32, "--limit-tokens", 200]
            self.assertLess(self.json_of("eval", output, *evaluate)["nll"],
                            self.json_of("eval", MODELS / "gpt2-demo", *evaluate)["nll"] - 0.05)
            mine, _ = read_header(output / "model.safetensors")
            theirs, _ = read_header(MODELS / "gpt2-demo" / "model.safetensors")
            self.assertEqual({name: (entry["dtype"], entry["shape"]) for name, entry in mine.items() if "dtype" in entry},
                             {name: (entry["dtype"], entry["shape"]) for name, entry in theirs.items()
                              if "dtype" in entry})

    def test_refused(self):
        def refused(flags, *mentions, **more):
            self.assert_refused(self.arguments(self.folder / "never", *flags, **more), *mentions)
            self.assertFalse((self.folder / "never" / "adapter_config.json").exists())

        refused(["--rank", 0], "--rank", "0")
        refused(["--targets", "c_attn"], "c_attn", "q_proj", "down_proj")
        refused(["--train", "last-layers=0"], "last-layers")
        refused(["--train", "last-layers=99"], "99")
        refused(["--train", "full", "--weights", "nf4"], "nf4", "lora")
        refused(["--steps", 3, "--epochs", 1], "--steps", "--epochs")
        self.assert_refused(["finetune", DRAFT, "--data", self.text, "-o", self.folder / "never", "--seq", 100000],
                            "--seq", "100000")
        refused(["--eval-split", "0.001"], "--eval-split")
        short = self.folder / "short.txt"
        short.write_text("Too short.")
        refused([], "--data", "32", data=short)
        broken = self.folder / "broken.jsonl"
        broken.write_text('{"prompt": "a", "completion": "b"}\n{"prompt": \n')
        refused([], "broken.jsonl:2", data=broken)
        broken.write_text('{"prompt": "a", "completion": "b"}\n\n{"question": "a"}\n')
        refused([], "broken.jsonl:3", "messages", data=broken)
        refused(["--steps", 5, "--lr", "1e30", "--warmup", 0], "step", "finite")

    def test_full_disk(self):
        """Of a limit on file sizes, which fails writes in the same place. The adapter has 600 kB."""
        output = self.folder / "disk"
        self.assert_refused(self.arguments(output, "--steps", 2), str(output), "File too large",
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16)))
        self.assertFalse((output / "adapter_model.safetensors").exists())


class Merge(CommandTest):
    def test_dense_is_the_adapter_beside_the_weights(self):
        trained = self.trained()
        merged = self.folder / "merged"
        cost = self.json_of("merge", DRAFT, "--adapter", trained, "-o", merged, "--limit-tokens", 600)
        self.assertLess(cost["kl_mean"], 1e-3)  # bf16 weights
        self.assertAlmostEqual(cost["ppl"], cost["reference_ppl"], delta=0.01 * cost["ppl"])
        self.assert_same_logits(["--adapter", trained], merged, 0.05)
        header, _ = read_header(merged / "model.safetensors")
        source, _ = read_header(DRAFT / "model.safetensors")
        self.assertEqual(set(header), set(source) | {"__metadata__"})

    def test_requantised(self):
        trained = self.trained()
        merged = self.folder / "merged"
        cost = self.json_of("merge", DRAFT, "--adapter", trained, "-o", merged, "--weights", "int8", "--limit-tokens",
                            600)
        self.assertEqual(cost["weights"], "int8")
        self.assertLess(cost["kl_mean"], 0.1)
        self.assertIn("quantization_config", json.loads((merged / "config.json").read_text()))
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["adapter", "merged", "out.safetensors", "text.txt"]
                         if (self.folder / "out.safetensors").exists() else ["adapter", "merged", "text.txt"])
        # And what is quantised can be made dense again, with another adapter's pass over it.
        again = self.folder / "again"
        self.succeed("merge", merged, "--adapter", trained, "-o", again, "--limit-tokens", 600)
        self.assertNotIn("quantization_config", json.loads((again / "config.json").read_text()))
        self.succeed("run", again, "-p", "The", "-n", "2")

    def test_refused(self):
        self.assert_refused(["merge", DRAFT, "--adapter", GOLDEN / "gpt2-tiny-lora", "-o", self.folder / "x"],
                            "gpt2-tiny", DRAFT)
        self.assert_refused(["merge", "shape:gpt2", "--adapter", GOLDEN / "gpt2-tiny-lora", "-o", self.folder / "x"],
                            "shape:gpt2")
        self.assertEqual(list(self.folder.iterdir()), [])

    def trained(self):
        text = self.folder / "text.txt"
        text.write_text(TEXT)
        adapter = self.folder / "adapter"
        self.succeed("finetune", DRAFT, "--data", text, "-o", adapter, *FAST, "--steps", 6, "--lr", "3e-3")
        return adapter

    def assert_same_logits(self, flags, merged, tolerance):
        out = self.folder / "out.safetensors"
        logits = []
        for arguments in (["logits", DRAFT, *flags], ["logits", merged]):
            self.succeed(*arguments, "--ids", "1,415,3020,17", "-o", out)
            logits.append(read_safetensors(out)["logits"][1])
        self.assertLess(relative_to_largest(logits[1], logits[0]), tolerance)


if __name__ == "__main__":
    command_test.main()
