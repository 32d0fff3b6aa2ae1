"""Configs that lack, misspell or contradict: one line that names file, field, found and expected."""

import json

import command_test
from command_test import GOLDEN, CommandTest

LARGEST = (1 << 63) - 1


class BadConfig(CommandTest):
    def edited(self, base="llama-tiny", drop=(), **changes):
        """A copy of a golden model with a changed config."""
        model = self.copy_of(GOLDEN / base) if not (self.folder / base).exists() else self.folder / base
        self.config = model / "config.json"
        fields = json.loads((GOLDEN / base / "config.json").read_text())
        fields.update(changes)
        for field in drop:
            fields.pop(field)
        self.config.write_text(json.dumps(fields))
        return model

    def assert_bad(self, model, *mentions):
        if not command_test.options.sanitized:
            self.assert_refused(["info", model], self.config, *mentions)
        self.assert_refused(["run", model, "--prompt-ids", "1", "--print-ids"], self.config, *mentions)

    def test_missing(self):
        for field in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
                      "intermediate_size"):
            with self.subTest(field):
                self.assert_bad(self.edited(drop=[field]), f"{field}: found nothing", "expected")
        for field in ("vocab_size", "n_embd", "n_layer", "n_head"):
            with self.subTest(field):
                self.assert_bad(self.edited("gpt2-tiny", drop=[field]), f"{field}: found nothing", "expected")

    def test_zero_negative_and_others(self):
        for field in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
                      "num_key_value_heads", "intermediate_size", "max_position_embeddings", "head_dim"):
            for value in (0, -1, 1.5, "64", [], True, LARGEST, 1 << 64):
                with self.subTest(field, value=value):
                    self.assert_bad(self.edited(**{field: value}), field, "expected")

    def test_gpt2_zero_and_negative(self):
        for field in ("vocab_size", "n_embd", "n_layer", "n_head", "n_positions"):
            for value in (0, -3):
                with self.subTest(field, value=value):
                    self.assert_bad(self.edited("gpt2-tiny", **{field: value}), f"{field}: found {value}")

    def test_epsilon(self):
        for value in (0, -1e-5, "small", 2):
            with self.subTest(value):
                self.assert_bad(self.edited(rms_norm_eps=value), "rms_norm_eps")

    def test_contradiction(self):
        self.assert_bad(self.edited(num_key_value_heads=3), "num_key_value_heads: found 3", "4")
        self.assert_bad(self.edited(num_key_value_heads=8), "num_key_value_heads: found 8", "4")
        self.assert_bad(self.edited(num_attention_heads=3, num_key_value_heads=3, drop=["head_dim"]),
                        "hidden_size: found 64", "3")
        self.assert_bad(self.edited("gpt2-tiny", n_head=3), "n_embd: found 64", "3")
        self.assert_bad(self.edited(head_dim=15), "head_dim: found 15")

    def test_contradicts_the_weights(self):
        for field, value, tensor in (("intermediate_size", 128, "mlp"), ("head_dim", 32, "self_attn"),
                                     ("vocab_size", 300, "embed_tokens"), ("num_hidden_layers", 3, "layers.2"),
                                     ("attention_bias", True, "bias")):
            with self.subTest(field):
                model = self.edited(**{field: value})
                self.assert_refused(["run", model, "--prompt-ids", "1", "--print-ids"],
                                    model / "model.safetensors", tensor)

    def test_enormous_but_legal(self):
        # Refused by the weights, before anything of that size is asked for.
        model = self.edited(hidden_size=1 << 30, intermediate_size=1 << 30, num_hidden_layers=4096)
        self.assert_refused(["run", model, "--prompt-ids", "1", "--print-ids"], model / "model.safetensors")

    def test_rope(self):
        for rope in ({"rope_type": "spiral", "rope_theta": 1e4}, {"rope_type": "linear", "rope_theta": 1e4},
                     {"rope_type": "linear", "rope_theta": 1e4, "factor": 0},
                     {"rope_type": "llama3", "rope_theta": 1e4, "factor": 8},
                     {"rope_type": "default", "rope_theta": -1}, {"rope_type": "default", "rope_theta": "x"}, []):
            with self.subTest(rope):
                self.assert_bad(self.edited(rope_parameters=rope), "rope")

    def test_sliding_window(self):
        for window in (0, -4, "wide"):
            with self.subTest(window):
                self.assert_bad(self.edited("mistral-tiny", sliding_window=window), "sliding_window")

    def test_unknown_architecture(self):
        for changes in ({"model_type": "mamba"}, {"drop": ["model_type"], "architectures": ["MambaForCausalLM"]}):
            with self.subTest(changes):
                model = self.edited(**changes)
                said = self.assert_refused(["info", model], self.config).lower()
                for known in ("mamba", "gpt2", "llama", "mistral", "qwen2"):
                    self.assertIn(known, said)

    def test_unknown_activation_and_dtype(self):
        self.assert_bad(self.edited(hidden_act="tanhshrink"), "hidden_act", "tanhshrink", "silu")
        self.assert_bad(self.edited(dtype="float4"), "dtype", "float4", "bfloat16")

    def test_unknown_quantisation(self):
        model = self.edited(quantization_config={"quant_method": "origami"})
        self.assert_refused(["run", model, "--prompt-ids", "1", "--print-ids"], self.config, "origami")

    def test_not_an_object(self):
        for text in (b"", b"{", b"[]", b"3", b'{"model_type": 3}', b"\xff\xfe{}", b'{"a":' * 50_000):
            with self.subTest(text[:20]):
                model = self.edited()
                self.config.write_bytes(text)
                self.assert_bad(model)

    def test_absent(self):
        model = self.edited()
        self.config.unlink()
        self.assert_bad(model)

    def test_generation_config(self):
        model = self.edited()
        for text in ("[]", "{", '{"eos_token_id": "two"}', '{"eos_token_id": -1}'):
            with self.subTest(text):
                (model / "generation_config.json").write_text(text)
                self.assert_refused(["run", model, "--prompt-ids", "1", "--print-ids"],
                                    model / "generation_config.json")

    def test_no_such_model(self):
        for arguments in (["run", "nowhere", "-p", "x"], ["info", "nowhere"], ["eval", "nowhere"],
                          ["logits", "nowhere", "--ids", "1", "-o", self.folder / "out"], ["study", "nowhere"],
                          ["tokenize", "nowhere", "-p", "x"]):
            with self.subTest(arguments[0]):
                self.assert_refused(arguments, "nowhere: ", "expected")

    def test_no_such_shape(self):
        for command in (["info"], ["run", "--prompt-ids", "1"], ["study"]):
            with self.subTest(command[0]):
                self.assert_refused([*command, "shape:gpt5"], "gpt5", "gpt2-xl", "llama-2-7b", "llama-3-8b",
                                    "mistral-7b", "tinyllama-1.1b")


if __name__ == "__main__":
    command_test.main()
