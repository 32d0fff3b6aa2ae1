"""plimsoll profile: the figures agree with each other, and with the trace that it writes."""

import json
import re
import sys
import unittest

import command_test
from command_test import GOLDEN, MODELS, CommandTest

DRAFT = MODELS / "draft"
PARTS = {"attention", "mlp", "head", "norm", "embedding", "sampling", "other"}


class Profile(CommandTest):
    def profile(self, *arguments):
        return self.json_of("profile", DRAFT, "-p", 24, "-n", 3, *arguments)

    def test_the_figures_agree(self):
        result = self.profile("--weights", "int8", "--kv", "bf16", "--attention", "flash")
        self.assertEqual((result["variant"], result["weights"], result["attention"], result["kv"], result["threads"]),
                         ("int8+flash", "int8", "flash", "bf16", 1))
        self.assertEqual([profile["workload"] for profile in result["profiles"]], ["pp24", "tg3 @ d24"])
        ceilings = result["ceilings"]
        peaks = {unit["unit"]: unit["gops"]["median"] for unit in ceilings["units"]}
        for profile in result["profiles"]:
            wall = profile["wall_seconds"]
            self.assertEqual({part["part"] for part in profile["parts"]}, PARTS)
            self.assertAlmostEqual(sum(part["share"] for part in profile["parts"]), 1, places=6)
            self.assertLessEqual(sum(kernel["share"] for kernel in profile["kernels"]), 1 + 1e-6)
            shares = [kernel["share"] for kernel in profile["kernels"]]
            self.assertEqual(shares, sorted(shares, reverse=True))
            for kernel in profile["kernels"]:
                seconds = kernel["seconds"]
                self.assertAlmostEqual(kernel["mean_seconds"] * kernel["calls"] / seconds, 1, places=6)
                self.assertAlmostEqual(kernel["share"] * wall / seconds, 1, places=6)
                self.assertAlmostEqual(kernel["gbps"] * seconds * 1e9, kernel["bytes"], delta=1e-6 * kernel["bytes"])
                self.assertLessEqual(kernel["min_seconds"], kernel["median_seconds"])
                self.assertLessEqual(kernel["median_seconds"], kernel["max_seconds"])
                # At least the roofline of all calls together, which is never above that of each call.
                together = max(kernel["gbps"] / ceilings["read_gbps"], kernel["gops"] / peaks[kernel["unit"]])
                self.assertGreaterEqual(kernel["share_of_ceiling"], together * (1 - 1e-6))
            products = [kernel for kernel in profile["kernels"] if kernel["name"].startswith("gemm_")]
            self.assertEqual({(kernel["part"], kernel["unit"] == "int8") for kernel in products},
                             {("attention", True), ("mlp", True), ("head", False)})

    def test_calls_and_operations_are_those_of_the_model(self):
        config = json.loads((DRAFT / "config.json").read_text())
        layers, hidden = config["num_hidden_layers"], config["hidden_size"]
        prompt, steps = self.profile()["profiles"]
        for profile, passes, tokens in ((prompt, 1, 24), (steps, 3, 3)):
            mlp = [k for k in profile["kernels"] if k["part"] == "mlp" and k["name"].startswith("gemm_")]
            self.assertEqual(sum(kernel["calls"] for kernel in mlp), 3 * layers * passes)
            self.assertEqual(sum(kernel["operations"] for kernel in mlp),
                             2 * 3 * layers * hidden * config["intermediate_size"] * tokens)
            sample = next(kernel for kernel in profile["kernels"] if kernel["part"] == "sampling")
            self.assertEqual(sample["calls"], passes)

    def test_the_trace_holds_every_call(self):
        trace_file = self.folder / "trace.json"
        result = self.profile("-o", trace_file)
        self.assertEqual({profile["trace_file"] for profile in result["profiles"]}, {str(trace_file)})
        events = json.loads(trace_file.read_text())["traceEvents"]
        calls = sum(kernel["calls"] for profile in result["profiles"] for kernel in profile["kernels"])
        self.assertEqual(len(events), calls)
        self.assertEqual(events[0]["ts"], 0)
        self.assertEqual(sorted(events, key=lambda event: event["ts"]), events)
        for event in events:
            self.assertEqual((event["cat"], event["ph"]), ("cpu_op", "X"))
            self.assertLessEqual({"part", "bytes", "operations"}, set(event["args"]))
        seconds = sum(kernel["seconds"] for profile in result["profiles"] for kernel in profile["kernels"])
        self.assertAlmostEqual(sum(event["dur"] for event in events) / 1e6, seconds, places=6)

    def test_a_table(self):
        said = self.succeed("profile", MODELS / "gpt2-demo", "-p", 8, "-n", 0, "--compute", "exact").stdout.decode()
        self.assertRegex(said, r"\A\S+gpt2-demo, \w+\+sdpa, keys and values in fp32, exact arithmetic, .*, 1 thread\n")
        self.assertRegex(said, r"\nceilings: [\d.]+ GB/s read; GOP/s fp32 \d+")
        self.assertRegex(said, r"\nlayer_norm +norm +[\d.]+% +[\d.]+ +\d+ ")
        self.assertRegex(said, r"\nparts: .*\bother [\d.]+%\n")
        self.assertEqual(len(re.findall(r"(?m)^pp8: ", said)), 1)

    @unittest.skipIf("--sanitized" in sys.argv, "124 million random weights take the sanitised program too long")
    def test_a_model_without_a_checkpoint(self):
        result = self.json_of("profile", "shape:gpt2", "--weights", "bf16", "-p", 0, "-n", 1, "--batch", 2)
        self.assertEqual(result["profiles"][0]["workload"], "tg1")

    def test_bad_input_is_one_line(self):
        for arguments, mentions in (
                (["-p", "0", "-n", "0"], ["-p, -n", "0 in both"]),
                (["-p", "-1"], ["-1"]),
                (["--weights", "int9"], ["int9", "nf4-dq"]),
                (["--attention", "sparse"], ["--attention", "sparse"]),
                (["--device", "cuda:99"], ["--device", "cuda:99"]),
                (["-p", "9999999"], ["9999999"]),
                (["-p", "100000"], ["100032 tokens", "--allow-long"]),
                (["-o", self.folder / "none" / "trace.json"], ["none"])):
            self.assert_refused(["profile", DRAFT, *arguments], *mentions)
        self.assert_refused(["profile", GOLDEN / "gpt2-tiny", "-p", "100000"], "positions")
        self.assert_refused(["profile", self.folder / "none"], "none")
        self.assertEqual(list(self.folder.iterdir()), [])


if __name__ == "__main__":
    command_test.main()
