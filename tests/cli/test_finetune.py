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
               for count in range(15) for noun in ("captain", "cook", "boy", "old man"))
FAST = ["--seq", "32", "--batch", "2", "-t", "1"]


def limited_files(size):
    """For preexec_fn: writes beyond `size` fail where those to a full disk do."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


class Finetune(CommandTest):
    device = "cpu"

    def setUp(self):
        super().setUp()
        self.text = self.folder / "text.txt"
        self.text.write_text(TEXT)

    def arguments(self, output, *flags, model=DRAFT, data=None):
        return ["finetune", model, "--data", data or self.text, "-o", output, "--device", self.device,
                *FAST, *flags]

    def finetune(self, name, *flags, **more):
        output = self.folder / name
        result = self.json_of(*self.arguments(output, *flags, **more))
        rows = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
        return output, result, rows

    def test_adapter_learns_and_is_used(self):
        output, result, rows = self.finetune("adapter", "--steps", 10, "--rank", 4, "--lr", "3e-3")
        self.assertEqual({"step": 0}.items() & rows[0].items(), {("step", 0)})
        self.assertEqual([set(row) for row in rows[1:-1]],
                         [{"step", "loss", "lr", "tokens_per_second", "device"}] * 10)
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
        evaluate = ["eval", DRAFT, "--text", self.text, "--window", 32, "--limit-tokens", 640]
        self.assertLess(self.json_of(*evaluate, "--adapter", output)["nll"], self.json_of(*evaluate)["nll"] - 0.5)

    def test_held_out_perplexity_is_that_of_eval(self):
        ids = self.json_of("tokenize", DRAFT, "-p", TEXT)["ids"]
        _, _, rows = self.finetune("adapter", "--steps", 1)
        begin = len(ids) - len(ids) // 10
        windows = [ids[at:at + 32] for at in range(begin, len(ids) - 31, 32)]
        losses = []
        for window in windows:
            out = self.folder / "out.safetensors"
            self.succeed("logits", DRAFT, "--ids", ids_text(window), "-o", out)
            (_, vocabulary), logits = read_safetensors(out)["logits"]
            for position, target in enumerate(window[1:]):
                row = logits[position * vocabulary:(position + 1) * vocabulary]
                losses.append(math.log(sum(math.exp(x) for x in row)) - row[target])
        self.assertEqual(len(windows), 4)
        # Products on a GPU round their operands to 2^-11.
        self.assertAlmostEqual(rows[0]["eval_nll"], sum(losses) / len(losses),
                               delta=5e-5 if self.device == "cpu" else 1e-3)

    def start(self, output, *flags, stderr=subprocess.DEVNULL):
        return subprocess.Popen([command_test.options.program, *map(str, self.arguments(output, *flags))],
                                stdout=subprocess.DEVNULL, stderr=stderr, cwd=command_test.TOP)

    def kill_at(self, rows, output, *flags):
        """Runs until metrics.jsonl has so many rows, and kills it there; False when it was over before."""
        process = self.start(output, *flags)
        metrics = output / "metrics.jsonl"
        while process.poll() is None and not (metrics.exists() and metrics.read_text().count("\n") >= rows):
            time.sleep(0.001)
        process.kill()
        process.wait()
        return not (output / "adapter_config.json").exists()

    def assert_resumes_bit_for_bit(self, *flags):
        """One run is killed again and again: while it judges, before and behind its first checkpoint, near its end."""
        flags = ["--steps", 14, "--checkpoint-every", 4, *flags]
        whole, _, rows = self.finetune("whole", *flags)
        output = self.folder / "killed"
        resume, killed = [], 0
        for at in (0, 1, 3, 7, 13):
            killed += self.kill_at(at, output, *flags, *resume)
            resume = ["--resume"] if output.exists() else []
            if (output / "adapter_config.json").exists():
                break
        self.assertGreaterEqual(killed, 2)
        if not (output / "adapter_config.json").exists():
            self.json_of(*self.arguments(output, *flags, *resume))
        resumed = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
        for row in rows + resumed:
            row.pop("tokens_per_second", None)
        self.assertEqual(resumed, rows)
        for name in ("adapter_model.safetensors", "adapter_config.json"):
            self.assertEqual((output / name).read_bytes(), (whole / name).read_bytes())
        # Nothing that the killed ones had begun lies about.
        self.assertEqual({file.name for file in output.iterdir()}, {file.name for file in whole.iterdir()})

    def test_killed_runs_resume_bit_for_bit(self):
        self.assert_resumes_bit_for_bit("--dropout", "0.1", "--grad-accum", 2)

    def test_killed_runs_resume_beside_quantised_weights(self):
        self.assert_resumes_bit_for_bit("--weights", "nf4-dq", "--dropout", "0.2", "--pack", "--clip", "0.5")

    def test_a_run_whose_last_words_failed_resumes(self):
        """The result does not fit on the disk: nothing is trained twice once it does."""
        output = self.folder / "run"
        flags = ["--steps", 4, "--rank", 16]
        whole, _, _ = self.finetune("whole", *flags)
        self.assert_refused(self.arguments(output, *flags), "training-state.safetensors", "File too large",
                            preexec_fn=limited_files(1 << 16))
        self.assertFalse(output.exists())
        blocked = output / "adapter_model.safetensors"
        blocked.mkdir(parents=True)
        (output / "metrics.jsonl").touch()  # as a killed run leaves it
        self.assert_refused(self.arguments(output, *flags, "--resume"), blocked, "it is a folder")
        blocked.rmdir()
        self.assertTrue((output / "training-state.safetensors").exists())
        result = self.json_of(*self.arguments(output, *flags, "--resume"))
        self.assertEqual((result["steps"], result["seconds"]), (4, 0))
        self.assertEqual(blocked.read_bytes(), (whole / "adapter_model.safetensors").read_bytes())

    def test_interrupted_runs_leave_a_checkpoint(self):
        output = self.folder / "run"
        flags = ["--steps", 400, "--checkpoint-every", 0]
        process = self.start(output, *flags, stderr=subprocess.PIPE)
        metrics = output / "metrics.jsonl"
        while process.poll() is None and not (metrics.exists() and metrics.read_text().count("\n") >= 4):
            time.sleep(0.01)
        self.assertFalse((output / "training-state.safetensors").exists())
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertRegex(said.decode(), "plimsoll: .*training-state.safetensors keeps what was trained; the same "
                         "command with --resume goes on\nplimsoll: interrupted\n\\Z")
        header, _ = read_header(output / "training-state.safetensors")
        self.assertEqual(int(header["__metadata__"]["step"]),
                         json.loads(metrics.read_text().splitlines()[-1])["step"])
        arguments = self.arguments(output, *flags)
        self.assert_refused([*arguments, "--resume", "--lr", "0.5"], "lr: found 0.001, expected 0.5")
        # What the weights are is a setting, too.
        self.assert_refused([*arguments, "--resume", "--weights", "nf4"], "weights: found \"\", expected \"nf4\"")
        self.assert_refused(arguments, "output folder", "something there already")

    def test_quantisation_is_a_setting(self):
        arguments = self.arguments(self.folder / "run", "--weights", "int4", "--steps", 40, "--lr", "1e36", "--schedule",
                                   "linear", "--checkpoint-every", 1)
        self.assert_refused([*arguments, "--group", 32], "step 2", "the checkpoint of step 1 is kept")
        self.assert_refused([*arguments, "--group", 64, "--resume"], "quantisation: found", "\"group\":32", "expected",
                            "\"group\":64", "as this run was asked for")

    def test_goes_on_from_an_adapter(self):
        first, _, rows = self.finetune("first", "--steps", 6, "--rank", 4, "--alpha", 8, "--lr", "3e-3",
                                       "--targets", "q_proj,down_proj")
        second, _, more = self.finetune("second", "--steps", 6, "--lr", "3e-3", "--adapter", first)
        # It begins where the first ended, and learns on.
        self.assertEqual(more[0]["eval_nll"], rows[-1]["eval_nll"])
        self.assertLess(more[-1]["eval_nll"], more[0]["eval_nll"] - 0.05)
        # Another adapter of the same kind; the first is as it was.
        configs = [json.loads((folder / "adapter_config.json").read_text()) for folder in (first, second)]
        self.assertEqual(configs[0], configs[1])
        self.assertEqual((configs[1]["r"], configs[1]["lora_alpha"], configs[1]["target_modules"]),
                         (4, 8, ["q_proj", "down_proj"]))
        header, data = read_header(second / "adapter_model.safetensors")
        self.assertEqual(header, read_header(first / "adapter_model.safetensors")[0])
        self.assertNotEqual(data, read_header(first / "adapter_model.safetensors")[1])
        evaluate = ["eval", DRAFT, "--text", self.text, "--window", 32, "--limit-tokens", 640]
        self.assertLess(self.json_of(*evaluate, "--adapter", second)["nll"],
                        self.json_of(*evaluate, "--adapter", first)["nll"])

        def refused(flags, *mentions):
            self.assert_refused(self.arguments(self.folder / "never", "--adapter", first, *flags), *mentions)
            self.assertFalse((self.folder / "never").exists())

        refused(["--rank", 8], "--rank: value: found 8, expected 4, as", first)
        refused(["--alpha", 16], "--alpha: value: found 16, expected 8, as", first)
        refused(["--targets", "v_proj"], "--targets: value: found v_proj, expected down_proj,q_proj, as", first)
        refused(["--train", "full"], "--adapter", "full", "lora")
        self.assert_refused(self.arguments(self.folder / "never", "--adapter", self.folder), "adapter_config.json")
        # The same flags are no contradiction.
        self.finetune("third", "--steps", 1, "--adapter", first, "--rank", 4, "--alpha", 8, "--targets",
                      "down_proj,q_proj")

    def test_conversations_learn_the_answers_alone(self):
        data = self.folder / "talk.jsonl"
        lines = [{"messages": [{"role": "user", "content": f"Count {n}"}, {"role": "assistant", "content": "One two"}]}
                 for n in range(8)]
        lines += [{"prompt": "Say it: ", "completion": "One two"}] * 8
        data.write_text("\n".join(map(json.dumps, lines)) + "\n")
        _, result, rows = self.finetune("adapter", "--steps", 8, "--lr", "5e-3", data=data)
        self.assertLess(result["ppl_after"], result["ppl_before"] / 2)
        self.assertLess(rows[8]["loss"], rows[1]["loss"])
        # Of the examples, which are shorter than --seq.
        taken = [row["tokens_per_second"] for row in rows[1:-1]]
        self.assertLessEqual(min(taken), result["tokens_per_second"])
        self.assertGreaterEqual(max(taken), result["tokens_per_second"])

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
            self.assertFalse((self.folder / "never").exists(), "something was written")

        refused(["--rank", 0], "--rank: count: found 0, expected at least 1")
        refused(["--alpha", 0], "--alpha: value: found 0, expected more than 0")
        refused(["--dropout", 1], "--dropout: value: found 1, expected 0 to less than 1")
        refused(["--train", "last-layers=0"], "--train: what: found \"last-layers=0\"")
        refused(["--train", "lots"], "--train: what: found \"lots\", expected lora, last-layers=N")
        refused(["--schedule", "step"], "--schedule", "\"step\"", "cosine")
        refused(["--steps", 3, "--epochs", 1], "--steps, --epochs: give one of them, not both")
        refused(["--eval-split", "0.001"], "--eval-split: held-out end: found", "expected at least 32, or 0")
        refused(["--resume"], "never: run to resume: found nothing there, expected an interrupted run")
        self.assert_refused(["finetune", DRAFT, "--data", self.text, "-o", self.folder / "never", "--seq", 100000],
                            "--seq", "100000")

    def test_bad_data(self):
        def refused(name, text, *mentions):
            data = self.folder / name
            data.write_bytes(text)
            self.assert_refused(self.arguments(self.folder / "never", data=data), *mentions)
            self.assertFalse((self.folder / "never").exists(), "something was written")

        good = b'{"prompt": "a", "completion": "b"}\n'
        refused("short.txt", b"Too short.", "--data: length: found", "tokens to train on, expected at least 32")
        refused("empty.txt", b"", "--data: length: found 1 tokens to train on")
        refused("latin1.txt", b"caf\xe9", "latin1.txt: byte 3: found 0xe9, expected UTF-8 text")
        refused("cut.jsonl", good + b'{"prompt": \n', "cut.jsonl:2")
        refused("other.jsonl", good + b'\n{"question": "a"}\n', "other.jsonl:3", "text", "messages")
        refused("half.jsonl", b'{"prompt": "a"}\n', "half.jsonl:1", "completion")
        refused("number.jsonl", good + good + b'{"prompt": 1, "completion": "b"}\n', "number.jsonl:3", "prompt")
        refused("list.jsonl", b"[1]\n", "list.jsonl:1", "object")
        refused("role.jsonl", b'{"messages": [{"role": "user", "content": 3}]}\n', "role.jsonl:1: messages", "content")
        refused("unasked.jsonl", b'{"messages": [{"role": "user", "content": "a"}]}\n', "unasked.jsonl:1: example",
                "nothing to learn")
        refused("one.jsonl", good, "--eval-split: held-out end: found 0 examples")

    def test_what_only_the_model_tells(self):
        """The folder is made by then, and goes again."""
        def refused(flags, *mentions, **more):
            self.assert_refused(self.arguments(self.folder / "never", *flags, **more), *mentions)
            self.assertFalse((self.folder / "never").exists())

        refused(["--targets", "q_proj,c_attn"], "--targets: module: found \"c_attn\", expected all-linear, or some of "
                "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj, lm_head")
        refused(["--train", "last-layers=99"], "--train: last-layers: found 99, expected at most the model's 3")
        refused(["--train", "full", "--weights", "nf4"], "--train", "q_proj in nf4", "lora")
        refused(["--adapter", GOLDEN / "gpt2-tiny-lora"], "adapter of \"gpt2-tiny\"",
                "transformer.h.0.attn.c_attn which the model has not", f"layers of {DRAFT}")

    def test_a_loss_that_is_not_finite(self):
        output = self.folder / "run"
        # A rate that breaks the model at once, and one that lets it come as far as a checkpoint.
        said = self.assert_refused(self.arguments(output, "--steps", 5, "--lr", "1e30", "--warmup", 0),
                                   "found NaN, expected a finite number", "--lr", "there is no checkpoint yet")
        self.assertRegex(said, r"\Aplimsoll: step 2: (loss|norm of the gradients): ")
        self.assertFalse(output.exists())  # nothing is in the way of the next try
        flags = ["--steps", 40, "--lr", "1e36", "--schedule", "linear", "--warmup", 20, "--checkpoint-every", 1]
        again = self.folder / "again"
        said = self.assert_refused(self.arguments(again, *flags), "the checkpoint of step 1 is kept in",
                                   again / "training-state.safetensors")
        self.assertRegex(said, r"\Aplimsoll: step 2: ")
        header, _ = read_header(again / "training-state.safetensors")
        self.assertEqual(header["__metadata__"]["step"], "1")
        rows = [json.loads(line) for line in (again / "metrics.jsonl").read_text().splitlines()]
        self.assertEqual([row["step"] for row in rows], [0, 1])
        self.assertFalse((again / "adapter_config.json").exists())

    def test_full_disk(self):
        """The adapter has 600 kB."""
        output = self.folder / "disk"
        flags = ["--steps", 2, "--checkpoint-every", 0]
        self.assert_refused(self.arguments(output, *flags), output / "adapter_model.safetensors", "File too large",
                            preexec_fn=limited_files(1 << 16))
        self.assertEqual([file.name for file in output.iterdir()], ["metrics.jsonl"])
        # Three times that is a checkpoint: the last one stays when the next does not fit.
        self.assert_refused(self.arguments(self.folder / "checkpoint", "--steps", 2),
                            self.folder / "checkpoint" / "training-state.safetensors", "File too large",
                            preexec_fn=limited_files(1 << 20))
        if not command_test.options.sanitized:  # clang's OpenMP runtime needs a file of its own, of a kilobyte
            self.assert_refused(self.arguments(self.folder / "metrics", *flags),
                                self.folder / "metrics" / "metrics.jsonl", "is the disk full?",
                                preexec_fn=limited_files(1 << 6))


class FinetuneOnTheGpu(Finetune):
    """All of the above once more."""
    device = "cuda"

    def setUp(self):
        super().setUp()
        if not self.json_of("doctor")["gpus"]:
            self.skipTest("no GPU")

    def test_losses_are_the_cpus(self):
        # Operands of products are rounded to 2^-11 on a GPU; a step's loss follows from the steps before.
        for number, flags in enumerate((["--weights", "nf4-dq", "--dropout", "0.1", "--pack"], ["--weights", "fp16"],
                                        ["--train", "full", "--lr", "1e-3"],
                                        ["--weights", "int4", "--recompute", "on", "--grad-accum", 2])):
            with self.subTest(flags=flags):
                flags = ["--steps", 6, *flags]
                _, result, there = self.finetune(f"gpu-{number}", *flags)
                self.device = "cpu"
                _, _, here = self.finetune(f"cpu-{number}", *flags)
                self.device = "cuda"
                self.assertEqual([row["step"] for row in there], [row["step"] for row in here])
                for mine, theirs in zip(there, here):
                    for name in ("loss", "eval_nll"):
                        if name in theirs:
                            self.assertAlmostEqual(mine[name], theirs[name], delta=1e-2)
                self.assertNotEqual(result["device"], "cpu")
                self.assertGreater(result["peak_memory_bytes"], 0)

    def test_another_device_does_not_resume(self):
        output = self.folder / "run"
        process = self.start(output, "--steps", 4000, "--checkpoint-every", 1)
        while not (output / "training-state.safetensors").exists():
            self.assertIsNone(process.poll())
            time.sleep(0.01)
        process.kill()
        process.wait()
        self.device = "cpu"
        self.assert_refused(self.arguments(output, "--steps", 4000, "--checkpoint-every", 1, "--resume"), "device: found")


class Merge(CommandTest):
    device = "cpu"

    def test_dense_is_the_adapter_beside_the_weights(self):
        trained = self.trained()
        merged = self.folder / "merged"
        cost = self.json_of("merge", DRAFT, "--adapter", trained, "-o", merged, "--limit-tokens", 600, "--device",
                            self.device)
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
                            600, "--device", self.device)
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


class MergeOnTheGpu(Merge):
    """All of the above, judged there."""
    device = "cuda"

    def setUp(self):
        super().setUp()
        if not self.json_of("doctor")["gpus"]:
            self.skipTest("no GPU")


if __name__ == "__main__":
    command_test.main()
