"""Broken tokenizers, texts that are none, ids and prompts that do not fit."""

import json
import shutil

import command_test
from command_test import GOLDEN, MODELS, SHARED, CommandTest, ids_text


class BadTokenizer(CommandTest):
    def setUp(self):
        super().setUp()
        self.model = self.copy_of(MODELS / "draft")
        self.json = self.model / "tokenizer.json"
        self.protobuf = self.model / "tokenizer.model"

    def assert_unreadable(self, file, *mentions):
        self.assert_refused(["tokenize", self.model, "-p", "x"], file, *mentions)
        if not command_test.options.sanitized:
            self.assert_refused(["run", self.model, "-p", "x", "-n", 1], file, *mentions)
            self.assert_refused(["eval", self.model], file, *mentions)

    def test_not_json(self):
        whole = self.json.read_bytes()
        for text in (b"", b"{", b"[]", b"null", whole[:len(whole) // 2], b'{"model": 3}', b'{"model": {}}'):
            with self.subTest(text[:20]):
                self.json.write_bytes(text)
                self.assert_unreadable(self.json)

    def test_unknown_parts(self):
        whole = json.loads(self.json.read_text())
        for part in ("model", "pre_tokenizer", "normalizer", "decoder", "post_processor"):
            with self.subTest(part):
                self.json.write_text(json.dumps({**whole, part: {"type": "Origami"}}))
                self.assert_unreadable(self.json, "Origami", "expected")

    def test_bad_merges_and_vocabulary(self):
        whole = json.loads(self.json.read_text())
        self.assertEqual(whole["model"]["type"], "BPE")
        for field, value in (("merges", [["no such", "piece"]]), ("merges", ["a"]), ("merges", 3),
                             ("vocab", {"a": -1}), ("vocab", {"a": "b"}), ("vocab", {"a": 1 << 40}), ("vocab", [])):
            with self.subTest(field, value=value):
                self.json.write_text(json.dumps({**whole, "model": {**whole["model"], field: value}}))
                self.assert_unreadable(self.json)

    def test_protobuf(self):
        self.json.unlink()
        whole = self.protobuf.read_bytes()
        for content in (b"", b"\0" * 100, whole[:1000], whole[:-1], b"<html>not found</html>"):
            with self.subTest(content[:20]):
                self.protobuf.write_bytes(content)
                self.assert_unreadable(self.protobuf)

    def test_settings(self):
        for text in ("{", "[]", '{"bos_token": "<nowhere>"}', '{"add_bos_token": "yes"}'):
            with self.subTest(text):
                (self.model / "tokenizer_config.json").write_text(text)
                self.assert_unreadable(self.model)

    def test_none(self):
        self.json.unlink()
        self.protobuf.unlink()
        self.assert_unreadable(self.model, "tokenizer.json", "tokenizer.model")


class OtherTokenizer(CommandTest):
    """A tokenizer that is sound, but another model's."""

    def assert_disagrees(self, model, *mentions):
        for arguments in (["run", model, "-p", "x", "-n", 1], ["eval", model, "--window", 64],
                          ["study", model, "-r", 1, "-n", 2]):
            with self.subTest(arguments[0]):
                self.assert_refused(arguments, *mentions)

    def test_larger(self):
        model = self.copy_of(GOLDEN / "llama-tiny")  # 320 tokens
        shutil.copyfile(MODELS / "draft" / "tokenizer.model", model / "tokenizer.model")
        self.assert_disagrees(model, "tokenizer", 4096, 320)

    def test_one_token_larger(self):
        model = self.copy_of(MODELS / "draft")
        tokenizer = json.loads((model / "tokenizer.json").read_text())
        tokenizer["added_tokens"].append({"id": 4096, "content": "<extra>", "special": True})
        (model / "tokenizer.json").write_text(json.dumps(tokenizer))
        self.assert_disagrees(model, "tokenizer", 4097, 4096)

    @command_test.needs_shared("real/stories260K/tokenizer.model")
    def test_far_smaller(self):
        model = self.copy_of(MODELS / "draft")
        (model / "tokenizer.json").unlink()
        shutil.copyfile(SHARED / "real" / "stories260K" / "tokenizer.model", model / "tokenizer.model")
        self.assert_disagrees(model, "tokenizer", 512, 4096)


class Text(CommandTest):
    def test_not_utf8(self):
        bad = self.folder / "latin1.txt"
        bad.write_bytes("Ahoy, mon capitaine \u00e0 bord".encode("latin-1"))
        for arguments in (["eval", MODELS / "draft", "--text", bad],
                          ["run", MODELS / "draft", "--prompt-file", bad],
                          ["tokenize", MODELS / "draft", "--file", bad],
                          ["study", MODELS / "draft", "--text", bad]):
            with self.subTest(arguments[0]):
                self.assert_refused(arguments, bad, "byte 20", "0xe0", "UTF-8")
        self.assert_refused(["eval", MODELS / "draft", "--text", "-"], "standard input", "byte 1", "UTF-8",
                            stdin=b"a\xff")
        self.assert_refused(["run", MODELS / "draft", "-p", b"a\xff".decode("utf-8", "surrogateescape")],
                            "byte 1", "UTF-8")

    def test_absent(self):
        for arguments in (["eval", MODELS / "draft", "--text", "nowhere.txt"],
                          ["run", MODELS / "draft", "--prompt-file", "nowhere.txt"],
                          ["tokenize", MODELS / "draft", "--file", "nowhere.txt"],
                          ["study", MODELS / "draft", "--text", "nowhere.txt"],
                          ["run", MODELS / "draft", "--prompt-ids", "@nowhere.txt"]):
            with self.subTest(arguments[0]):
                self.assert_refused(arguments, "nowhere.txt")

    def test_too_short(self):
        short = self.folder / "short.txt"
        for text in ("", "Ahoy."):
            short.write_text(text)
            for command in ("eval", "study"):
                with self.subTest(command, text=text):
                    self.assert_refused([command, MODELS / "draft", "--text", short], "tokens", "at least")


class Ids(CommandTest):
    def test_out_of_range(self):
        for ids, bad in (("1,320", 320), ("-1", -1), ("5,-2147483648", -2147483648), ("2147483647", 2147483647)):
            with self.subTest(ids):
                for arguments in (["run", GOLDEN / "llama-tiny", "--print-ids", f"--prompt-ids={ids}"],
                                  ["logits", GOLDEN / "llama-tiny", "-o", self.folder / "out", f"--ids={ids}"]):
                    self.assert_refused(arguments, f"found {bad}", "0 to 319")
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_not_ids(self):
        for ids in ("one", "1;2", "1,2x", "99999999999999999999", "1.5", ",", " "):
            with self.subTest(ids):
                self.assert_refused(["run", GOLDEN / "llama-tiny", "--print-ids", "--prompt-ids", ids],
                                    "--prompt-ids", "expected")
                self.assert_refused(["logits", GOLDEN / "llama-tiny", "-o", self.folder / "out", "--ids", ids],
                                    "--ids", "expected")

    def test_empty_prompt_without_bos(self):
        self.assert_refused(["run", MODELS / "gpt2-demo", "-p", ""], "prompt", "at least one")


class Context(CommandTest):
    def refused(self, model, count, *mentions):
        ids = ids_text([5] * count)
        output = self.folder / "out"
        said = self.assert_refused(["run", model, "--print-ids", "--prompt-ids", ids], *mentions)
        self.assert_refused(["logits", model, "--ids", ids, "-o", output], *mentions)
        self.assertFalse(output.exists())
        return said

    def test_learned_positions(self):
        said = self.refused(GOLDEN / "gpt2-tiny", 97, "97 tokens", "96")
        self.assertNotIn("--allow-long", said)
        # And they cannot be stretched.
        self.assert_refused(["run", GOLDEN / "gpt2-tiny", "--allow-long", "--print-ids", "--prompt-ids",
                             ids_text([5] * 97)], "97 tokens", "96")
        self.succeed("run", GOLDEN / "gpt2-tiny", "--print-ids", "--prompt-ids", ids_text([5] * 96), "-n", 1)

    def test_rotary_positions(self):
        self.refused(GOLDEN / "llama-tiny", 257, "257 tokens", "256", "--allow-long")
        ids = ids_text([5] * 257)
        result = self.json_of("run", GOLDEN / "llama-tiny", "--allow-long", "--print-ids", "--prompt-ids", ids,
                              "-n", 3, "--ignore-eos")
        self.assertEqual((result["prompt_tokens"], len(result["ids"])), (257, 3))


if __name__ == "__main__":
    command_test.main()
