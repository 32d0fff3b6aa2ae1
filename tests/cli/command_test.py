"""What the tests of the commands share: running the program, and reading and damaging checkpoints.

Each test_NAME.py here is run as `python3 tests/cli/test_NAME.py --program build/release/bin/plimsoll`;
further arguments (a test's name, -v) go to unittest.
"""

import argparse
import array
import json
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
MODELS = TOP / "models"
GOLDEN = TOP / "tests" / "golden"
SHARED = TOP.parent / "shared"

TINY_MODELS = ["gpt2-tiny", "llama-tiny", "llama3-tiny", "mistral-tiny", "qwen2-tiny",
               "mistral-tiny-bf16-sharded"]

# For commands that may be slow: the sanitised program takes some ten times as long.
TIMEOUT_SECONDS = 280

_THREADED = ("run", "logits", "eval", "study", "quantize", "finetune", "merge", "profile")

options = argparse.Namespace(program=None, sanitized=False, slow=False)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True, help="path of plimsoll")
    parser.add_argument("--sanitized", action="store_true", help="it is built with AddressSanitizer")
    parser.add_argument("--slow", action="store_true", help="run what takes minutes, too")
    _, rest = parser.parse_known_args(namespace=options)
    options.program = str(pathlib.Path(options.program).resolve())
    program = unittest.main(module="__main__", argv=sys.argv[:1] + rest, exit=False)
    result = program.result
    if not result.wasSuccessful() or result.testsRun == 0:
        sys.exit(1)
    sys.exit(77 if len(result.skipped) == result.testsRun else 0)


slow = unittest.skipUnless("--slow" in sys.argv, "takes minutes: give --slow")


def needs_shared(path):
    """Skips a test of material that the project may not carry."""
    return unittest.skipUnless((SHARED / path).exists(), f"needs ../shared/{path}, which a clone has not")


class CommandTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="plimsoll-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def plimsoll(self, *arguments, stdin=b"", **popen):
        """Runs the program from the top of the checkout; stdout is bytes, stderr text.

        One thread unless `arguments` say otherwise: tests run side by side, and threads that wait for
        each other on a full machine take a hundred times as long.
        """
        if arguments and arguments[0] in _THREADED and "-t" not in arguments:
            arguments = (arguments[0], "-t", "1", *arguments[1:])
        done = subprocess.run([options.program, *map(str, arguments)], input=stdin, capture_output=True, cwd=TOP,
                              timeout=None if options.slow else TIMEOUT_SECONDS, check=False, **popen)
        done.stderr = done.stderr.decode()
        return done

    def succeed(self, *arguments, **more):
        done = self.plimsoll(*arguments, **more)
        self.assertEqual(done.returncode, 0, f"plimsoll {' '.join(map(str, arguments))}: {done.stderr}")
        return done

    def json_of(self, *arguments, **more):
        return json.loads(self.succeed(*arguments, "--format", "json", **more).stdout)

    def assert_refused(self, arguments, *mentions, **more):
        """Exit 2, nothing on stdout, one line on stderr that mentions each of `mentions`.

        Besides, a slow machine may have said how far it has come.
        """
        done = self.plimsoll(*arguments, **more)
        answer = re.sub(r"(?m)^(?!plimsoll: )[^\n]*\b\d+ %[^\n]*\n", "", done.stderr)
        said = f"plimsoll {' '.join(map(str, arguments))}: exit {done.returncode}, {done.stderr!r}"
        self.assertEqual(done.returncode, 2, said)
        self.assertEqual(done.stdout, b"", said)
        self.assertRegex(answer, r"\Aplimsoll: [^\n]+\n\Z", said)
        self.assertNotIn("internal error", done.stderr)
        for mention in mentions:
            self.assertIn(str(mention), done.stderr)
        return done.stderr

    def copy_of(self, model):
        """A copy of a model folder, to damage."""
        copy = self.folder / model.name
        shutil.copytree(model, copy, copy_function=shutil.copyfile)
        return copy

    def short_of(self, model, positions):
        """A copy that says it has room for `positions` only: what is done with whole contexts is over sooner."""
        copy = self.copy_of(model)
        config = json.loads((copy / "config.json").read_text())
        config["max_position_embeddings"] = positions
        (copy / "config.json").write_text(json.dumps(config))
        return copy


def ids_text(ids):
    return ",".join(map(str, ids))


def ids_of_line(line):
    """The ids of `--print-ids`."""
    return [int(word) for word in line.decode().rstrip("\n").split(",")]


# safetensors: the length of the header as u64, the header as JSON, the data.

_TYPECODES = {"F32": "f", "F64": "d", "I64": "q"}


def read_header(path):
    """The header of a safetensors file and the bytes behind it."""
    content = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    return json.loads(content[8:8 + length]), content[8 + length:]


def write_with_header(path, header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def read_safetensors(path):
    """{name: (shape, flat values)}"""
    header, data = read_header(path)
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        tensors[name] = (entry["shape"], array.array(_TYPECODES[entry["dtype"]], data[begin:end]))
    return tensors


def expected(model):
    return read_safetensors(GOLDEN / model / "expected.safetensors")


def relative_to_largest(actual, wanted):
    """Largest |actual - wanted| over the largest |wanted|."""
    if len(actual) != len(wanted):
        return float("inf")
    worst = max(abs(a - w) for a, w in zip(actual, wanted))
    return worst / max(map(abs, wanted)) if worst == worst else float("inf")
