"""plimsoll doctor, and the ceilings that it measures."""

import command_test
from command_test import CommandTest


class Doctor(CommandTest):
    def test_json(self):
        result = self.json_of("doctor")
        self.assertLessEqual({"version", "cpu", "cores", "isa", "available_memory_bytes", "devices", "kernels"},
                             set(result))
        self.assertIn("cpu", result["devices"])
        self.assertIn(result["isa"], ("scalar", "avx2", "avx512", "avx512-bf16"))
        self.assertGreater(result["available_memory_bytes"], 0)
        self.assertNotIn("ceilings", result)
        for kernel in result["kernels"]:
            self.assertTrue(kernel["name"])
            self.assertNotEqual(kernel["supported"], bool(kernel["reason"]), kernel)
        supported = {kernel["name"] for kernel in result["kernels"] if kernel["supported"]}
        self.assertLessEqual({"gemm_dense_ref", "attention_ref", "rms_norm", "rope"}, supported)

    def test_text_names_every_kernel(self):
        said = self.succeed("doctor").stdout.decode()
        for kernel in self.json_of("doctor")["kernels"]:
            answer = "yes" if kernel["supported"] else "no: "
            self.assertRegex(said, rf"(?m)^  {kernel['name']} +{answer}")

    def test_measures_every_unit_that_the_cpu_has(self):
        report = self.json_of("doctor", "--measure", "-t", 1)
        ceilings = report["ceilings"]
        self.assertEqual(ceilings["threads"], 1)
        units = {(unit["unit"], unit["isa"]): unit["gops"] for unit in ceilings["units"]}
        levels = ["scalar", "avx2", "avx512", "avx512-bf16"]
        for level in levels[:levels.index(report["isa"]) + 1]:
            wanted = ["bf16"] if level == "avx512-bf16" else ["fp32", "int8"]
            for unit in wanted:
                self.assertGreater(units[unit, level]["median"], 0)
                self.assertGreaterEqual(units[unit, level]["best"], units[unit, level]["median"])
        best = max(read["gbps"]["median"] for read in ceilings["reads"])
        self.assertEqual(ceilings["read_gbps"], best)
        self.assertGreater(len(ceilings["reads"]), 1)

    def test_ceilings_as_text(self):
        if command_test.options.sanitized:
            self.skipTest("measured once already, which takes ten times as long when sanitised")
        said = self.succeed("doctor", "--measure", "-t", 1).stdout.decode()
        self.assertRegex(said, r"(?m)^ceilings, 1 threads? +median +best$")
        self.assertRegex(said, r"(?m)^  read, 2 streams +read_probe_\w+ +[\d.]+ +[\d.]+ GB/s$")
        self.assertRegex(said, r"(?m)^  int8 +int8_probe_\w+ +[\d.]+ +[\d.]+ GOP/s$")


if __name__ == "__main__":
    command_test.main()
