"""plimsoll logits: what it writes, against the float64 reference."""

import resource
import signal

import command_test
from command_test import GOLDEN, CommandTest, expected, ids_text, read_header, read_safetensors, relative_to_largest

TOLERANCE = 1e-4  # of the largest value


class Logits(CommandTest):
    def setUp(self):
        super().setUp()
        self.output = self.folder / "out.safetensors"

    def files(self):
        return sorted(path.name for path in self.folder.iterdir())

    def test_reference(self):
        for model in command_test.TINY_MODELS:
            reference = expected(model)
            rows, positions = reference["input_ids"][0]
            for row in range(rows):
                with self.subTest(model, row=row):
                    ids = reference["input_ids"][1][row * positions:(row + 1) * positions]
                    self.succeed("logits", GOLDEN / model, "--ids", ids_text(ids), "-o", self.output, "--hidden")
                    self.assert_row_equals(reference, row)

    def assert_row_equals(self, reference, row):
        written = read_safetensors(self.output)
        names = [name for name in reference if name == "logits" or name.startswith("hidden.")]
        self.assertEqual(sorted(written), sorted(names))
        for name in names:
            (_, *shape), wanted = reference[name]
            self.assertEqual(written[name][0], shape, name)
            size = shape[0] * shape[1]
            error = relative_to_largest(written[name][1], wanted[row * size:(row + 1) * size])
            self.assertLessEqual(error, TOLERANCE, name)

    def test_file(self):
        done = self.succeed("logits", GOLDEN / "llama-tiny", "--ids", "1,2,3", "-o", self.output)
        self.assertEqual(done.stdout, b"")
        header, data = read_header(self.output)
        self.assertEqual(header.pop("__metadata__")["compute"], "exact")
        self.assertEqual(header, {"logits": {"dtype": "F32", "shape": [3, 320], "data_offsets": [0, 3 * 320 * 4]}})
        self.assertEqual(len(data), 3 * 320 * 4)
        self.assertEqual(self.files(), ["out.safetensors"])

    def test_ids_from_a_file(self):
        ids = self.folder / "ids"
        ids.write_text("7, 8\n9\n")
        self.succeed("logits", GOLDEN / "llama-tiny", "--ids", "7,8,9", "-o", self.output)
        wanted = read_safetensors(self.output)
        self.succeed("logits", GOLDEN / "llama-tiny", "--ids", f"@{ids}", "-o", self.output)
        self.assertEqual(read_safetensors(self.output), wanted)

    def test_a_comma_too_many(self):
        for ids in ("1,,2", ",1", "1,", "1, ,2", ","):
            with self.subTest(ids):
                self.assert_refused(["logits", GOLDEN / "llama-tiny", "--ids", ids, "-o", self.output], "--ids", '""')

    def test_earlier_positions_do_not_see_later_ones(self):
        self.succeed("logits", GOLDEN / "qwen2-tiny", "--ids", "7,8,9", "-o", self.output)
        shorter = read_safetensors(self.output)["logits"][1]
        self.succeed("logits", GOLDEN / "qwen2-tiny", "--ids", "7,8,9,10", "-o", self.output)
        longer = read_safetensors(self.output)["logits"][1]
        self.assertLessEqual(relative_to_largest(longer[:len(shorter)], shorter), 1e-5)

    def test_compute_fast_is_recorded(self):
        self.succeed("logits", GOLDEN / "llama-tiny", "--ids", "1", "-o", self.output, "--compute", "fast")
        self.assertEqual(read_header(self.output)[0]["__metadata__"]["compute"], "fast")

    def test_an_error_leaves_the_old_file(self):
        self.output.write_text("old")
        self.assert_refused(["logits", GOLDEN / "llama-tiny", "--ids", "1,320", "-o", self.output], "320")
        self.assertEqual(self.output.read_text(), "old")
        self.assertEqual(self.files(), ["out.safetensors"])

    def test_a_full_disk_leaves_nothing(self):
        self.assert_refused(["logits", GOLDEN / "llama-tiny", "--ids", ids_text(range(1, 9)), "-o", self.output],
                            self.output, preexec_fn=forbid_large_files)
        self.assertEqual(self.files(), [])

    def test_bad_output(self):
        for output in (self.folder, self.folder / "absent" / "out.safetensors"):
            self.assert_refused(["logits", GOLDEN / "llama-tiny", "--ids", "1", "-o", output], output)
        self.assertEqual(self.files(), [])


def forbid_large_files():
    """write() fails in the middle of the tensors: as on a full disk, but with EFBIG."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it, and so would its child


if __name__ == "__main__":
    command_test.main()
