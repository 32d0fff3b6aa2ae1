"""--adapter on every command that runs a model, against logits of PEFT."""

import command_test
from command_test import GOLDEN, MODELS, CommandTest, expected, ids_text, read_safetensors, relative_to_largest

BASES = ("mistral-tiny", "gpt2-tiny")


class Adapter(CommandTest):
    def logits(self, model, ids, *flags):
        output = self.folder / "out.safetensors"
        self.succeed("logits", GOLDEN / model, "--ids", ids_text(ids), "-o", output, *flags)
        return read_safetensors(output)["logits"][1]

    def test_logits_are_those_of_peft(self):
        for base in BASES:
            adapter = GOLDEN / f"{base}-lora"
            fixture = expected(f"{base}-lora")
            (_, length), ids = fixture["input_ids"]
            (_, _, vocabulary), wanted = fixture["logits"]
            wanted = wanted[:length * vocabulary]
            whole = self.logits(base, ids[:length], "--adapter", adapter)
            self.assertLessEqual(relative_to_largest(whole, wanted), 1e-4)
            halves = self.logits(base, ids[:length], "--adapter", f"{adapter}:0.5", "--adapter", f"{adapter}:0.5")
            self.assertLessEqual(relative_to_largest(halves, wanted), 1e-4)
            none = self.logits(base, ids[:length])
            self.assertGreater(relative_to_largest(none, wanted), 1e-2)

    def test_run_uses_it(self):
        arguments = ["run", GOLDEN / "mistral-tiny", "--prompt-ids", "5,6,7", "--print-ids", "-n", "20", "--ignore-eos"]
        plain = self.succeed(*arguments).stdout
        with_adapter = self.succeed(*arguments, "--adapter", GOLDEN / "mistral-tiny-lora").stdout
        self.assertNotEqual(plain, with_adapter)

    def test_bench_and_study_take_it(self):
        # Another model's is refused: so it was looked at.
        for command in (["bench", MODELS / "draft", "-p", "8", "-n", "0", "-r", "1"], ["study", MODELS / "draft"]):
            self.assert_refused([*command, "--adapter", GOLDEN / "gpt2-tiny-lora"], "gpt2-tiny", MODELS / "draft")

    def test_refused(self):
        run = ["run", GOLDEN / "llama-tiny", "--prompt-ids", "5", "--print-ids"]
        self.assert_refused([*run, "--adapter", GOLDEN / "mistral-tiny-lora"], "mistral-tiny", "llama-tiny")
        self.assert_refused([*run, "--adapter", GOLDEN / "llama-tiny"], "adapter_config.json")
        self.assert_refused([*run, "--adapter", f"{GOLDEN / 'mistral-tiny-lora'}:half"], "--adapter", "half")
        self.assert_refused(["eval", MODELS / "draft", "--adapter", self.folder / "none"], "none", "adapter")


if __name__ == "__main__":
    command_test.main()
