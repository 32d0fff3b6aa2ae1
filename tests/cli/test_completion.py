"""plimsoll completion."""

import shutil
import subprocess
import unittest

import command_test
from command_test import CommandTest


class Completion(CommandTest):
    def script(self, shell):
        return self.succeed("completion", shell).stdout.decode()

    def run_shell(self, shell, script):
        done = subprocess.run([*shell, "-s"], input=script.encode(), capture_output=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout.decode().split("\n")[:-1]

    def subcommands(self):
        """The names of --help, by which the script's are judged."""
        shown = self.succeed("--help").stdout.decode().split("Subcommands:\n")[1]
        return {line.split()[0] for line in shown.splitlines() if line[:3].strip() and line.startswith("  ")}

    def in_bash(self, *words):
        """What bash offers for the last of `words`."""
        quoted = " ".join(f"'{word}'" for word in words)
        return self.run_shell(["bash", "--norc"], self.script("bash") + f"""
complete -p plimsoll | grep -q -- '-F _plimsoll' || exit 3
COMP_WORDS=({quoted}) COMP_CWORD={len(words) - 1}
_plimsoll
for word in "${{COMPREPLY[@]}}"; do printf '%s\\n' "$word"; done
""")

    def test_bash(self):
        for name in ("bash", "zsh"):
            if name == "bash" or shutil.which("zsh"):
                done = subprocess.run([name, "-n"], input=self.script(name).encode(), capture_output=True,
                                      timeout=60, check=False)
                self.assertEqual((done.returncode, done.stderr), (0, b""), name)
        self.assertEqual(self.in_bash("plimsoll", "st"), ["study"])
        self.assertEqual(set(self.in_bash("plimsoll", "")), self.subcommands())
        self.assertEqual(self.in_bash("plimsoll", "--ver"), ["--version"])
        self.assertEqual(self.in_bash("plimsoll", "run", "models", "--chat-"), ["--chat-template"])
        self.assertEqual(self.in_bash("plimsoll", "run", "--format", ""), ["text", "json"])
        self.assertEqual(self.in_bash("plimsoll", "fetch", "tr"), ["treasure-island"])
        self.assertEqual(self.in_bash("plimsoll", "completion", "z"), ["zsh"])
        # Left to readline, which offers files.
        self.assertEqual(self.in_bash("plimsoll", "run", ""), [])
        self.assertEqual(self.in_bash("plimsoll", "run", "--prompt-file", "-"), [])

    @unittest.skipUnless(shutil.which("zsh"), "needs zsh")
    def test_zsh(self):
        def offered(*words):
            return self.run_shell(["zsh", "-f"], f"""
compdef() {{ }}
_describe() {{ print -rl -- "${{(@P)2}}" }}
_arguments() {{ print -rl -- "$@" }}
{self.script("zsh")}
words=({" ".join(f"'{word}'" for word in words)} '') CURRENT={len(words) + 1}
_plimsoll
""")
        self.assertEqual({line.split(":")[0] for line in offered("plimsoll") if not line.startswith(("-", "("))},
                         self.subcommands())
        run = offered("plimsoll", "run")
        self.assertIn(r"--format[Output\: text or json]:value:(text json)", run)
        self.assertTrue(any(line.startswith("(-p --prompt)-p[") for line in run), run)
        self.assertTrue(any(line.startswith("--chat[") and line.endswith("]") for line in run), run)
        self.assertIn("*:argument:_files", run)
        self.assertIn("*:argument:(treasure-island)", offered("plimsoll", "fetch"))

    def test_every_flag_is_there(self):
        for name in self.subcommands():
            help_text = self.succeed(name, "--help").stdout.decode()
            wanted = {word.rstrip(",") for line in help_text.splitlines() if line.startswith("  -")
                      for word in line.split("  ")[1].replace(",", " ").split() if word.startswith("-") and word != "-"}
            self.assertTrue(wanted)
            self.assertLessEqual(wanted, set(self.in_bash("plimsoll", name, "-")), name)

    def test_an_unknown_shell(self):
        self.assert_refused(["completion", "fish"], "fish", "bash")


if __name__ == "__main__":
    command_test.main()
