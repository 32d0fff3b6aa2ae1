"""Too little memory, and Ctrl-C."""

import os
import pty
import re
import resource
import signal
import subprocess
import time
import unittest

import command_test
from command_test import MODELS, TIMEOUT_SECONDS, CommandTest, options

DEMO = MODELS / "demo"
DRAFT = MODELS / "draft"  # no sliding window: its cache grows with the text


def available_bytes():
    with open("/proc/meminfo", encoding="ascii") as file:
        return int(re.search(r"MemAvailable: +(\d+) kB", file.read()).group(1)) * 1024


class Memory(CommandTest):
    def test_model_larger_than_the_machine(self):
        needed = 8_030_261_248 * 4
        if available_bytes() > needed:
            self.skipTest("this machine has room for shape:llama-3-8b in fp32")
        arguments = ["run", "shape:llama-3-8b", "--weights", "fp32", "--prompt-ids", "1", "--print-ids"]
        said = self.assert_refused(arguments, "shape:llama-3-8b", "fp32", "needs 32.1 GB", "available")
        self.assertRegex(said, r"[\d.]+ [kMG]B are available")
        self.assert_refused(["study", "shape:llama-3-8b", "--variants", "fp32"], "no variant fits", "fp32+sdpa needs 3")

    def test_cache_larger_than_the_machine(self):
        count = 100_000_000  # 1 kB each or more
        self.assert_refused(["run", DRAFT, "-p", "x", "-n", count, "--allow-long", "--ignore-eos"], "GB", "available")

    def assert_refused_within(self, megabytes, *arguments):
        """Under `ulimit -v`, where allocations fail although the machine has memory."""
        if options.sanitized:
            self.skipTest("AddressSanitizer reserves more address space than any limit leaves")
        limit = megabytes << 20
        return self.assert_refused(arguments, "available",
                                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))

    def test_address_space(self):
        said = self.assert_refused_within(300, "run", "shape:gpt2", "--weights", "fp32", "--prompt-ids", "1",
                                          "--print-ids")
        self.assertRegex(said, r"[\d.]+ [kMG]B")

    def test_eager_score_matrix(self):
        """Refused before work on the first chunk, whose matrix would fit: nothing is explained yet."""
        ids = ",".join(["5"] * 20_000)
        arguments = ["run", DRAFT, "--prompt-ids", ids, "--print-ids", "-n", 1, "--allow-long", "-t", 1,
                     "--prefill-chunk", 5000, "--explain", "--numerics", "fast", "--attention"]
        said = self.assert_refused_within(578, *arguments, "eager")
        self.assertRegex(said, r"eager attention of 5000 queries over 20000 keys needs 4\d\d MB, [\d.]+ MB are available")


class Interrupt(CommandTest):
    """Ctrl-C: the work stops soon, with one line and exit status 130."""

    def interrupted(self, *arguments, after):
        """What was said, when SIGINT came as soon as `after(process)` returned."""
        process = subprocess.Popen([options.program, *map(str, arguments)], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, cwd=command_test.TOP)
        try:
            after(process)
            self.assertIsNone(process.poll(), "it ended before the interrupt")
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=TIMEOUT_SECONDS)
        finally:
            process.kill()
        self.assertEqual(process.returncode, 130, stderr)
        self.assertRegex(stderr.decode(), r"(?m)^plimsoll: interrupted\n\Z")
        return stdout

    @staticmethod
    def first_byte(process):
        os.read(process.stdout.fileno(), 1)

    @staticmethod
    def a_moment(process, seconds=0.3):
        """Until it would catch the signal, and `seconds` more."""
        status = f"/proc/{process.pid}/status"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            with open(status, encoding="ascii") as file:
                caught = int(re.search(r"SigCgt:\s+(\w+)", file.read()).group(1), 16)
            if caught & 1 << (signal.SIGINT - 1):
                break
            time.sleep(0.01)
        time.sleep(seconds)

    def test_run(self):
        self.interrupted("run", DEMO, "-p", "The captain", "-n", 2000, "--ignore-eos", "-t", 1, after=self.first_byte)

    def test_eval(self):
        stdout = self.interrupted("eval", DEMO, "--window", 64, "-t", 1, "--format", "json", after=self.a_moment)
        self.assertEqual(stdout, b"")

    def test_any_moment_of_eval(self):
        """None leaves the heap broken: oneDNN's sgemm has its stack pointer there at times."""
        for moment in range(40):
            self.interrupted("eval", DEMO, "--window", 64, "-t", 1, "--format", "json",
                             after=lambda process: self.a_moment(process, 0.005 * moment))

    def test_study(self):
        output = self.folder / "study"
        stdout = self.interrupted("study", DEMO, "-t", 1, "--format", "json", "-o", output, after=self.a_moment)
        self.assertEqual(stdout, b"")
        self.assertNotIn(".", [path.name[0] for path in self.folder.glob("study/*")], "half a file was left")

    def test_loading(self):
        stdout = self.interrupted("run", "shape:gpt2-xl", "--weights", "bf16", "--prompt-ids", "1", "--print-ids", "-t",
                                  1, after=self.a_moment)
        self.assertEqual(stdout, b"")

    def test_on_a_terminal(self):
        """With the keys of a terminal, and a bar that leaves a clean line."""
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(command_test.TOP)
            os.execv(options.program, [options.program, "run", "models/demo", "-p", "The captain", "-n", "2000",
                                       "--ignore-eos", "-t", "1"])
        said = os.read(terminal, 1)
        os.write(terminal, b"\x03")
        while True:
            try:
                part = os.read(terminal, 4096)
            except OSError:  # the child has closed it
                break
            if not part:
                break
            said += part
        _, status = os.waitpid(child, 0)
        os.close(terminal)
        self.assertEqual(os.waitstatus_to_exitcode(status), 130, said)
        self.assertIn(b"plimsoll: interrupted", said)


if __name__ == "__main__":
    command_test.main()
