"""Damaged checkpoints: one line that names file and tensor, exit 2, and nothing written."""

import json
import struct

import command_test
from command_test import GOLDEN, CommandTest, read_header, write_with_header

Q_PROJ = "model.layers.0.self_attn.q_proj.weight"
INDEX = "model.safetensors.index.json"


class BadCheckpoint(CommandTest):
    base = "llama-tiny"

    def setUp(self):
        super().setUp()
        self.model = self.copy_of(GOLDEN / self.base)
        self.weights = self.model / "model.safetensors"
        self.output = self.folder / "out.safetensors"

    def assert_unreadable(self, *mentions):
        """By every command that reads weights."""
        self.assert_refused(["run", self.model, "--prompt-ids", "1", "--print-ids", "-n", 1], *mentions)
        self.assert_refused(["logits", self.model, "--ids", "1", "-o", self.output], *mentions)
        self.assertEqual([path for path in self.folder.iterdir() if path != self.model], [])


class Header(BadCheckpoint):
    def setUp(self):
        super().setUp()
        self.header, self.data = read_header(self.weights)

    def rewrite(self, data=None):
        write_with_header(self.weights, self.header, self.data if data is None else data)

    def test_is_sound_when_rewritten(self):
        self.rewrite()
        self.succeed("logits", self.model, "--ids", "1", "-o", self.output)

    def test_truncated(self):
        content = self.weights.read_bytes()
        (length,) = struct.unpack_from("<Q", content)
        for size, mention in ((0, "empty"), (7, "header length"), (8, "header length"),
                              (8 + length - 1, "header length"), (8 + length, "data_offsets"),
                              (len(content) - 1, "data_offsets")):
            with self.subTest(size):
                self.weights.write_bytes(content[:size])
                self.assert_unreadable(self.weights, mention)

    def test_overlap(self):
        entry = self.header[Q_PROJ]
        entry["data_offsets"] = [offset - 4 for offset in entry["data_offsets"]]
        self.rewrite()
        self.assert_unreadable(self.weights, Q_PROJ, "overlap")

    def test_gap(self):
        entries = sorted((entry for name, entry in self.header.items() if name != "__metadata__"),
                         key=lambda entry: entry["data_offsets"])
        for entry in entries[1:]:
            entry["data_offsets"] = [offset + 8 for offset in entry["data_offsets"]]
        self.rewrite(self.data + bytes(8))
        self.assert_unreadable(self.weights, "gap")

    def test_data_behind_the_last_tensor(self):
        self.rewrite(self.data + bytes(16))
        self.assert_unreadable(self.weights, len(self.data) + 16, len(self.data))

    def test_tensor_past_the_end(self):
        self.header[Q_PROJ]["shape"] = [1 << 20, 64]
        begin = self.header[Q_PROJ]["data_offsets"][0]
        self.header[Q_PROJ]["data_offsets"][1] = begin + (1 << 20) * 64 * 4
        self.rewrite()
        self.assert_unreadable(self.weights, Q_PROJ)

    def test_size_contradicts_shape(self):
        self.header[Q_PROJ]["shape"] = [64, 63]
        self.rewrite()
        self.assert_unreadable(self.weights, Q_PROJ, "[64, 63]")

    def test_shape_that_overflows(self):
        for shape in ([1 << 62, 4], [-64, -64], [1.5, 64], ["64", 64], [1 << 64, 1]):
            with self.subTest(shape):
                self.header[Q_PROJ]["shape"] = shape
                self.rewrite()
                self.assert_unreadable(self.weights, Q_PROJ, "shape")

    def test_offsets(self):
        for offsets in ([8, 4], [0], [0, 1, 2], [-4, 0], ["0", "4"], None, {}):
            with self.subTest(offsets):
                self.header[Q_PROJ]["data_offsets"] = offsets
                self.rewrite()
                self.assert_unreadable(self.weights, Q_PROJ, "data_offsets")

    def test_unknown_dtype(self):
        self.header[Q_PROJ]["dtype"] = "F128"
        self.rewrite()
        self.assert_unreadable(self.weights, Q_PROJ, "F128", "BF16")

    def test_entry_lacks_a_field(self):
        for field in ("dtype", "shape", "data_offsets"):
            with self.subTest(field):
                self.header[Q_PROJ].pop(field)
                self.rewrite()
                self.assert_unreadable(self.weights, Q_PROJ, field)
                self.header, _ = read_header(GOLDEN / self.base / "model.safetensors")

    def test_oversized(self):
        for length in (100_000_001, 1 << 40, (1 << 64) - 1):
            with self.subTest(length):
                self.weights.write_bytes(struct.pack("<Q", length) + b"{}" * 50)
                self.assert_unreadable(self.weights, "header length", length, 100_000_000)

    def test_not_json(self):
        for header in (b"hello, world", b"", b"{", b'{"a": \xff}', b"[1, 2]", b"null", b"[" * 100_000,
                       b'{"a": 1}', b'{"__metadata__": {"a": 1}}'):
            with self.subTest(header[:20]):
                write_with_header(self.weights, header, self.data)
                self.assert_unreadable(self.weights)

    def test_pickle_is_not_read(self):
        self.weights.rename(self.model / "pytorch_model.bin")
        self.assert_unreadable(self.model, "pytorch_model.bin", "model.safetensors")

    def test_no_weights(self):
        self.weights.unlink()
        self.assert_unreadable(self.model, "model.safetensors", "model.safetensors.index.json")

    def test_folder_in_place_of_the_file(self):
        self.weights.unlink()
        self.weights.mkdir()
        self.assert_unreadable(self.weights)


class Tensors(BadCheckpoint):
    def setUp(self):
        super().setUp()
        self.header, self.data = read_header(self.weights)

    def test_missing(self):
        for name in (Q_PROJ, "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"):
            with self.subTest(name):
                header = dict(self.header)
                header["unrelated"] = header.pop(name)
                write_with_header(self.weights, header, self.data)
                self.assert_unreadable(self.weights, name)

    def test_wrong_shape(self):
        for name, shape in ((Q_PROJ, [32, 128]), ("model.norm.weight", [8, 8]),
                            ("model.embed_tokens.weight", [64, 320])):
            with self.subTest(name):
                header = json.loads(json.dumps(self.header))
                found = header[name]["shape"]
                header[name]["shape"] = shape
                write_with_header(self.weights, header, self.data)
                self.assert_unreadable(self.weights, name, shape, found)

    def test_wrong_type(self):
        for name in (Q_PROJ, "model.norm.weight"):
            with self.subTest(name):
                header = json.loads(json.dumps(self.header))
                header[name]["dtype"] = "I32"
                write_with_header(self.weights, header, self.data)
                self.assert_unreadable(self.weights, name, "I32", "F32")


class Index(BadCheckpoint):
    base = "mistral-tiny-bf16-sharded"

    def setUp(self):
        super().setUp()
        self.index = self.model / INDEX
        self.json = json.loads(self.index.read_text())

    def rewrite(self):
        self.index.write_text(json.dumps(self.json))

    def test_missing_shard(self):
        name = next(iter(self.json["weight_map"]))
        shard = self.json["weight_map"][name]
        (self.model / shard).unlink()
        self.assert_unreadable(self.index, shard)

    def test_shard_lacks_the_tensor(self):
        shards = sorted(set(self.json["weight_map"].values()))
        name, shard = next(iter(self.json["weight_map"].items()))
        self.json["weight_map"][name] = next(other for other in shards if other != shard)
        self.rewrite()
        self.assert_unreadable(self.index, name)

    def test_tensor_is_not_listed(self):
        del self.json["weight_map"][Q_PROJ]
        self.rewrite()
        self.assert_unreadable(INDEX, Q_PROJ)

    def test_shard_outside_the_folder(self):
        for shard in ("../model.safetensors", "/etc/passwd", "", "..", "a/b"):
            with self.subTest(shard):
                self.json["weight_map"][Q_PROJ] = shard
                self.rewrite()
                self.assert_unreadable(self.index, Q_PROJ)

    def test_not_an_index(self):
        for text in ("", "{", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}', '{"weight_map": {"a": 1}}'):
            with self.subTest(text):
                self.index.write_text(text)
                self.assert_unreadable(self.index)

    def test_truncated_shard(self):
        shard = self.model / sorted(self.json["weight_map"].values())[-1]
        shard.write_bytes(shard.read_bytes()[:-1])
        self.assert_unreadable(shard)


if __name__ == "__main__":
    command_test.main()
