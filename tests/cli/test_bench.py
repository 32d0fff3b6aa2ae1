"""plimsoll bench: the grammar, every row's fields, and the arithmetic between them."""

import csv
import io
import json
import signal
import sqlite3
import statistics
import subprocess

import command_test
from command_test import GOLDEN, MODELS, CommandTest

DRAFT = MODELS / "draft"
LLAMA_BENCH_FIELDS = {
    "build_commit": str, "cpu_info": str, "gpu_info": str, "backend": str, "model_filename": str,
    "model_type": str, "model_size": int, "model_n_params": int, "n_batch": int, "n_threads": int,
    "type_k": str, "type_v": str, "flash_attn": bool, "n_prompt": int, "n_gen": int, "n_depth": int,
    "test_time": str, "avg_ns": int, "stddev_ns": int, "avg_ts": float, "stddev_ts": float,
    "samples_ns": list, "samples_ts": list}
OUR_FIELDS = {
    "weights": str, "attention": str, "kv": str, "compute": str, "numerics": str, "bytes_per_token": float,
    "achieved_gbps": float, "achieved_gops": float, "ceiling_gbps": float, "ceiling_gops": float,
    "ceiling_unit": str, "share_of_ceiling": float, "bound": str, "peak_memory_bytes": int,
    "kernels": list, "interleaved": bool, "median_ns": int, "median_ts": float, "spread": float, "isa": str,
    "test": str, "n_sequences": int}


class Bench(CommandTest):
    def bench(self, *arguments, repeats=1):
        return ["bench", DRAFT, "-t", 1, "-r", repeats, "-p", 8, "-n", 2, *arguments]

    def rows(self, *arguments, **more):
        return json.loads(self.succeed(*self.bench(*arguments, **more), "-o", "json").stdout)

    def test_every_field_of_every_row(self):
        rows = self.rows("--weights", "bf16,int8")
        self.assertEqual([(row["test"], row["weights"]) for row in rows],
                         [("pp8", "bf16"), ("pp8", "int8"), ("tg2", "bf16"), ("tg2", "int8")])
        for row in rows:
            for field, kind in {**LLAMA_BENCH_FIELDS, **OUR_FIELDS}.items():
                self.assertIsInstance(row[field], kind, field)
            self.assertRegex(row["test_time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
            self.assertEqual((row["n_threads"], row["n_sequences"], row["n_depth"]), (1, 1, 0))
            self.assertEqual((row["n_prompt"], row["n_gen"]), (8, 0) if row["test"] == "pp8" else (0, 2))
            self.assertTrue(row["interleaved"])
            self.assertEqual(row["ceiling_unit"] == "int8", row["weights"] == "int8")
            self.assertTrue(any(kernel.startswith("gemm_") for kernel in row["kernels"]), row["kernels"])
            self.assertGreater(row["peak_memory_bytes"], row["model_size"])

    def test_a_prompt_and_what_follows_as_one(self):
        rows = self.rows("-pg", "8,2", "--batch", "1,3", "--prefill-chunk", 5)
        self.assertEqual([(row["test"], row["n_sequences"]) for row in rows],
                         [(test, batch) for batch in (1, 3) for test in ("pp8", "tg2", "pp8+tg2")])
        for row in rows:
            tokens = (row["n_prompt"] + row["n_gen"]) * row["n_sequences"]
            self.assertAlmostEqual(row["median_ts"] * row["median_ns"] * 1e-9, tokens, delta=0.01)
        alone = json.loads(self.succeed("bench", DRAFT, "-t", 1, "-r", 1, "-p", 0, "-n", 0, "--pg", "3,1", "--pg", "2,2",
                                        "-o", "json").stdout)
        self.assertEqual([(row["test"], row["n_prompt"], row["n_gen"]) for row in alone],
                         [("pp3+tg1", 3, 1), ("pp2+tg2", 2, 2)])
        for bad in ("8", "8,2,1", "0,2", "x"):
            self.assert_refused(self.bench("-pg", bad), "-pg")

    def test_cache_formats_and_chunks(self):
        """The demo has a sliding window: each repeat goes back to the depth."""
        rows = json.loads(self.succeed("bench", MODELS / "demo", "-p", 40, "-n", 2, "--depth", 300, "-r", 2, "-t", 1,
                                       "--kv", "fp32,int8", "--prefill-chunk", 16, "-o", "json").stdout)
        self.assertEqual({row["n_batch"] for row in rows}, {16})
        self.assertEqual([(row["n_prompt"], row["kv"], row["type_k"]) for row in rows],
                         [(prompt, kv, kv) for prompt in (40, 0) for kv in ("fp32", "int8")])
        full, small = (row for row in rows if row["n_gen"])
        self.assertLess(small["bytes_per_token"], full["bytes_per_token"])

    def test_the_figures_agree_with_the_samples(self):
        for row in self.rows("--batch", 3, repeats=3):
            tokens = 3 * (row["n_prompt"] + row["n_gen"])
            self.assertEqual(len(row["samples_ns"]), 3)
            for nanoseconds, rate in zip(row["samples_ns"], row["samples_ts"]):
                self.assertAlmostEqual(tokens / nanoseconds * 1e9 / rate, 1, places=4)
            self.assertAlmostEqual(row["avg_ns"] / statistics.mean(row["samples_ns"]), 1, places=4)
            self.assertAlmostEqual(row["avg_ts"], statistics.mean(row["samples_ts"]), delta=1e-6 * row["avg_ts"])
            self.assertAlmostEqual(row["stddev_ts"], statistics.stdev(row["samples_ts"]), delta=1e-6 * row["avg_ts"])
            median = statistics.median(row["samples_ns"])
            self.assertAlmostEqual(row["median_ns"] / median, 1, places=4)
            gbps = row["bytes_per_token"] * tokens / median
            self.assertAlmostEqual(row["achieved_gbps"] / gbps, 1, places=4)
            shares = {"bandwidth": row["achieved_gbps"] / row["ceiling_gbps"],
                      "compute": row["achieved_gops"] / row["ceiling_gops"]}
            self.assertAlmostEqual(row["share_of_ceiling"], max(shares.values()), places=6)
            self.assertEqual(row["bound"], max(shares, key=shares.get))

    def test_bytes_are_those_of_the_weights(self):
        rows = self.rows("--batch", "1,4")
        one, four = (row for row in rows if row["n_gen"])
        self.assertEqual((one["n_sequences"], four["n_sequences"]), (1, 4))
        # A step reads every weight but the embedding's other rows, whatever the batch.
        self.assertLess(one["bytes_per_token"], 1.3 * one["model_size"])
        self.assertGreater(one["bytes_per_token"], 0.5 * one["model_size"])
        self.assertLess(four["bytes_per_token"], 0.5 * one["bytes_per_token"])

    def test_products_of_lists_and_ranges(self):
        # -p is given twice: by bench() and here.
        rows = self.rows("-p", "4-9*2", "-n", 0, "--depth", "0,16")
        self.assertEqual([(row["n_prompt"], row["n_gen"], row["n_depth"]) for row in rows],
                         [(prompt, 0, depth) if prompt else (0, 2, depth) for depth in (0, 16)
                          for prompt in (8, 4, 8, None)])

    def test_the_other_formats_say_the_same(self):
        quick = self.bench()
        rows = list(csv.DictReader(io.StringIO(self.succeed(*quick, "-o", "csv").stdout.decode())))
        self.assertEqual([(row["n_prompt"], row["n_gen"]) for row in rows], [("8", "0"), ("0", "2")])
        self.assertLessEqual(set(LLAMA_BENCH_FIELDS) | set(OUR_FIELDS), set(rows[0]))
        lines = self.succeed(*quick, "--format", "jsonl").stdout.decode().splitlines()
        self.assertEqual([json.loads(line)["test"] for line in lines], ["pp8", "tg2"])
        table = sqlite3.connect(":memory:")
        table.executescript(self.succeed(*quick, "-o", "sql").stdout.decode())
        self.assertEqual(table.execute("select n_prompt, typeof(avg_ts) from plimsoll_bench").fetchall(),
                         [(8, "real"), (0, "real")])
        said = self.succeed(*quick).stdout.decode().splitlines()
        self.assertEqual(len(said), 4)
        self.assertEqual({line.count("|") for line in said}, {13})
        self.assertRegex(said[3], r"\| +tg2 \| +[\d.]+ ± [\d.]+ \|")

    def test_stopped_it_leaves_valid_json(self):
        """Ctrl-C once it has begun to say something; hundreds of workloads are still to come."""
        for stream in ("stdout", "stderr"):
            with subprocess.Popen([command_test.options.program, "bench", str(DRAFT), "-t", "1", "-r", "1", "-p", "1-900",
                                   "-n", "0", "-o", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                begun = getattr(process, stream).read(1)
                process.send_signal(signal.SIGINT)
                rest, _ = process.communicate(timeout=command_test.TIMEOUT_SECONDS)
            self.assertEqual(process.returncode, 130)
            rows = json.loads((begun if stream == "stdout" else b"") + rest)
            self.assertLess(len(rows), 900)

    def test_bad_input_is_one_line(self):
        for arguments, mentions in (
                (["-p", "5-1"], ["-p", "5-1"]),
                (["-n", "1-8*1"], ["-n", "1-8*1"]),
                (["--batch", "0"], ["--batch", "0"]),
                (["-p", "0", "-n", "0"], ["-p", "-n"]),
                (["--weights", "int9"], ["--weights", "int9", "nf4-dq"]),
                (["--weights", "int8,"], ["--weights", "int8,"]),
                (["--attention", "sparse"], ["--attention", "sparse"]),
                (["--kv", "int3"], ["--kv", "int3"]),
                (["--device", "cuda:99"], ["--device", "cuda:99"]),
                (["-o", "xml"], ["xml", "jsonl"])):
            self.assert_refused(["bench", DRAFT, *arguments], *mentions)
        self.assert_refused(["bench", GOLDEN / "gpt2-tiny", "-n", "0", "-p", "100000"], "positions")
        self.assert_refused(["bench", self.folder / "none"], "none")


if __name__ == "__main__":
    command_test.main()
