"""plimsoll run."""

import os
import signal
import subprocess

import command_test
from command_test import GOLDEN, MODELS, SHARED, CommandTest, expected, ids_of_line, ids_text

DEMO = MODELS / "demo"
PROMPT_IDS = 12  # of the 52 in greedy_ids


class Greedy(CommandTest):
    def test_golden_ids(self):
        for model in command_test.TINY_MODELS:
            with self.subTest(model):
                ids = list(expected(model)["greedy_ids"][1])
                prompt, wanted = ids[:PROMPT_IDS], ids[PROMPT_IDS:]
                done = self.succeed("run", GOLDEN / model, "--prompt-ids", ids_text(prompt), "--print-ids",
                                    "-n", len(wanted), "--ignore-eos", "--compute", "exact")
                self.assertEqual(done.stdout.decode(), ids_text(wanted) + "\n")

    def test_is_the_default(self):
        ids = list(expected("mistral-tiny")["greedy_ids"][1])
        done = self.succeed("run", GOLDEN / "mistral-tiny", "--prompt-ids", ids_text(ids[:PROMPT_IDS]),
                            "--print-ids", "-n", 40, "--ignore-eos", "-t", 2)
        self.assertEqual(ids_of_line(done.stdout), ids[PROMPT_IDS:])

    @command_test.needs_shared("real/stories260K/golden-greedy-200.txt")
    def test_stories_text(self):
        model = SHARED / "real" / "stories260K"
        golden = (model / "golden-greedy-200.txt").read_text()
        done = self.succeed("run", model, "-n", 200, "--compute", "exact")
        self.assertEqual(done.stdout.decode(), golden)


class Output(CommandTest):
    def test_text_is_what_the_ids_mean(self):
        arguments = ["run", DEMO, "-p", "The captain", "-n", 12]
        text = self.succeed(*arguments).stdout.decode()
        json = self.json_of(*arguments)
        ids = ids_of_line(self.succeed(*arguments, "--print-ids").stdout)
        self.assertEqual(ids, json["ids"])
        self.assertEqual(len(ids), 12)
        self.assertEqual(text.strip(), json["text"].strip())
        # Cutting prompt and text again gives the same ids: the greedy text is ordinary English.
        again = self.json_of("tokenize", DEMO, "-p", "The captain" + text[:-1])["ids"]
        self.assertEqual(again[-len(ids):], ids)

    def test_text_is_streamed(self):
        # Without an end in sight: what comes before the interrupt was not kept back.
        process = subprocess.Popen([command_test.options.program, "run", str(DEMO), "-p", "The captain", "-n",
                                    "2000", "--ignore-eos", "-t", "1"], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
        first = os.read(process.stdout.fileno(), 1)
        running = process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=command_test.TIMEOUT_SECONDS)
        self.assertTrue(first and running)

    def test_attention_and_cache(self):
        """Every way to attend, to store keys and values, and to cut the prompt gives the same greedy text."""
        ids = ids_text([1 + i * 7 % 300 for i in range(80)])
        wanted = None
        for flags in ([], ["--attention", "eager"], ["--attention", "flash"], ["--prefill-chunk", "9"],
                      ["--numerics", "invariant"], ["--kv", "fp16"]):
            with self.subTest(" ".join(flags)):
                done = self.succeed("run", GOLDEN / "mistral-tiny", "--prompt-ids", ids, "--print-ids", "-n", 20,
                                    "--ignore-eos", "--compute", "exact", *flags)
                wanted = wanted or done.stdout
                self.assertEqual(done.stdout, wanted)
        for kv in ("bf16", "int8"):
            result = self.json_of("run", GOLDEN / "mistral-tiny", "--prompt-ids", ids, "--print-ids", "-n", 3, "--kv", kv)
            self.assertEqual(result["kv"], kv)

    def test_explain(self):
        done = self.succeed("run", GOLDEN / "mistral-tiny", "--prompt-ids", "1,2,3", "--print-ids", "-n", 9,
                            "--ignore-eos", "--explain", "--attention", "eager")
        lines = [line for line in done.stderr.splitlines() if line.startswith("attention of")]
        self.assertEqual(len(lines), len(set(lines)))
        self.assertEqual(len(lines), 2)  # the prompt, and every step after it

    def test_numerics_by_default(self):
        """invariant where the kernels that run anyway keep the promise; results and --explain say which."""
        run = ["run", GOLDEN / "mistral-tiny", "--prompt-ids", "1,2,3", "--print-ids", "-n", 2]
        for flags, numerics, why in (([], "invariant", "keep the promise"), (["--weights", "int8"], "invariant", "keep"),
                                     (["--attention", "eager"], "fast", "--attention eager"),
                                     (["--weights", "int8", "--outlier-scope", "batch"], "fast", "--outlier-scope batch"),
                                     (["--isa", "scalar"], "fast", "numerics: fast"), (["--numerics", "fast"], "fast", "")):
            with self.subTest(" ".join(flags)):
                self.assertEqual(self.json_of(*run, *flags)["numerics"], numerics)
                said = self.succeed(*run, *flags, "--explain").stderr
                self.assertIn(why, said)
                self.assertEqual(f"numerics: {numerics}" in said, why != "")

    def test_combinations_that_cannot_be(self):
        for flags, mention in ((["--attention", "eager", "--numerics", "invariant"], "eager"),
                               (["--weights", "int8", "--outlier-scope", "batch", "--numerics", "invariant"],
                                "--outlier-scope batch")):
            self.assert_refused(["run", GOLDEN / "mistral-tiny", "--prompt-ids", "1,2", "--print-ids", *flags], mention)

    def test_json(self):
        result = self.json_of("run", DEMO, "-p", "The captain", "-n", 5, "--weights", "fp16")
        for key in ("model", "compute", "attention", "numerics", "prompt_tokens", "ids", "text", "stop", "ttft_seconds",
                    "prompt_tokens_per_second", "decode_tokens_per_second", "peak_memory_bytes"):
            self.assertIn(key, result)
        self.assertEqual(result["compute"], "fast")
        self.assertEqual(result["stop"], "length")
        self.assertEqual(len(result["ids"]), 5)
        self.assertGreater(result["ttft_seconds"], 0)
        self.assertGreater(result["prompt_tokens_per_second"], 0)
        self.assertGreater(result["decode_tokens_per_second"], 0)
        self.assertGreater(result["peak_memory_bytes"], 22e6)  # the weights alone

    def test_summary_on_stderr(self):
        stderr = self.succeed("run", DEMO, "-p", "The captain", "-n", 4).stderr
        self.assertRegex(stderr, r"prompt 3 tokens, [\d.]+ tokens/s")
        self.assertRegex(stderr, r"first token [\d.]+ ms")
        self.assertRegex(stderr, r"decode 4 tokens, [\d.]+ tokens/s")
        self.assertRegex(stderr, r"peak memory [\d.]+ [kMG]B")

    def test_count(self):
        for count in (0, 1, 7):
            with self.subTest(count):
                result = self.json_of("run", GOLDEN / "llama-tiny", "--prompt-ids", "5,6", "--print-ids",
                                      "-n", count, "--ignore-eos")
                self.assertEqual(len(result["ids"]), count)
                self.assertEqual(result["stop"], "length")

    def test_as_many_as_fit(self):
        # gpt2-tiny has 96 positions, and the last token needs none.
        result = self.json_of("run", GOLDEN / "gpt2-tiny", "--prompt-ids", "5,6", "--print-ids", "-n", -1,
                              "--ignore-eos")
        self.assertEqual((len(result["ids"]), result["stop"]), (95, "context full"))


class Prompts(CommandTest):
    def test_file_and_standard_input(self):
        file = self.folder / "prompt.txt"
        file.write_text("The captain")
        arguments = ["-n", 6, "--print-ids"]
        wanted = self.succeed("run", DEMO, "-p", "The captain", *arguments).stdout
        self.assertEqual(self.succeed("run", DEMO, "--prompt-file", file, *arguments).stdout, wanted)
        self.assertEqual(self.succeed("run", DEMO, "--prompt-file", "-", *arguments, stdin=b"The captain").stdout,
                         wanted)

    def test_ids_equal_text(self):
        ids = self.json_of("tokenize", DEMO, "-p", "The captain")["ids"]
        file = self.folder / "ids"
        file.write_text("\n".join(map(str, ids)) + "\n")
        wanted = self.succeed("run", DEMO, "-p", "The captain", "-n", 6, "--print-ids").stdout
        for given in (ids_text(ids), f"@{file}"):
            done = self.succeed("run", DEMO, "--prompt-ids", given, "-n", 6, "--print-ids")
            self.assertEqual(done.stdout, wanted)

    def test_several_are_refused(self):
        self.assert_refused(["run", DEMO, "-p", "x", "--prompt-ids", "1"], "--prompt-ids", "-p")

    def test_no_ids_are_refused(self):
        self.assert_refused(["run", DEMO, "--prompt-ids", ""], "--prompt-ids", "at least one")

    def test_shape(self):
        done = self.succeed("run", "shape:gpt2", "--prompt-ids", "1,2,3", "--print-ids", "--ignore-eos", "-n", 3,
                            "--weights", "bf16")
        ids = ids_of_line(done.stdout)
        self.assertEqual(len(ids), 3)
        self.assertTrue(all(0 <= id < 50257 for id in ids))
        self.assert_refused(["run", "shape:gpt2", "-p", "x"], "shape:gpt2", "--prompt-ids")


class EndOfSequence(CommandTest):
    """The second greedy token, said to be the end."""

    def setUp(self):
        super().setUp()
        self.model = self.copy_of(GOLDEN / "llama-tiny")
        self.ids = list(expected("llama-tiny")["greedy_ids"][1])
        self.end = self.ids[PROMPT_IDS + 1]
        self.assertNotEqual(self.ids[PROMPT_IDS], self.end)
        (self.model / "generation_config.json").write_text(f'{{"eos_token_id": [2, {self.end}]}}')
        self.arguments = ["run", self.model, "--prompt-ids", ids_text(self.ids[:PROMPT_IDS]), "--print-ids",
                          "-n", 6]

    def test_stops(self):
        result = self.json_of(*self.arguments)
        self.assertEqual((result["ids"], result["stop"]), ([self.ids[PROMPT_IDS]], "end of sequence"))

    def test_ignored(self):
        result = self.json_of(*self.arguments, "--ignore-eos")
        self.assertEqual(result["ids"], self.ids[PROMPT_IDS:PROMPT_IDS + 6])


class Sampling(CommandTest):
    def sampled(self, *flags):
        done = self.succeed("run", DEMO, "-p", "The captain", "-n", 16, "--print-ids", "--ignore-eos", *flags)
        return ids_of_line(done.stdout)

    def test_a_seed_repeats(self):
        flags = ["--temperature", "1", "--top-p", "0.95", "--min-p", "0.01", "--top-k", 200]
        first = self.sampled(*flags, "--seed", 7)
        self.assertEqual(self.sampled(*flags, "--seed", 7), first)
        self.assertNotEqual(self.sampled(*flags, "--seed", 8), first)

    def test_narrow_choices_are_greedy(self):
        greedy = self.sampled()
        self.assertEqual(self.sampled("--temperature", "1", "--top-k", 1, "--seed", 3), greedy)
        self.assertEqual(self.sampled("--temperature", "1", "--min-p", 1, "--seed", 3), greedy)

    def test_repetition_penalty(self):
        # Ids over 200 tokens: with a hard penalty none comes twice soon.
        ids = self.sampled("--repetition-penalty", "1000")
        self.assertEqual(len(set(ids)), len(ids))

    def test_out_of_range(self):
        for flag, value in (("--temperature", "-1"), ("--top-p", "0"), ("--top-p", "1.5"), ("--top-k", "-3"),
                            ("--min-p", "2"), ("--repetition-penalty", "0"), ("--temperature", "nan")):
            with self.subTest(f"{flag} {value}"):
                self.assert_refused(["run", DEMO, "-p", "x", flag, value], flag)


if __name__ == "__main__":
    command_test.main()
