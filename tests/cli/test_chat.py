"""plimsoll run --chat."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

import command_test
from command_test import MODELS, CommandTest, ids_of_line, ids_text

DRAFT = MODELS / "draft"
QUESTIONS = ["Tell me a story about a ship and a dog.", "And then?"]


def rendered(*said):
    """models/draft's template by hand: questions and answers in turn."""
    turns = [f"[INST] {text} [/INST]" if i % 2 == 0 else f" {text}</s>" for i, text in enumerate(said)]
    return "<s>" + "".join(turns)


class ChatTest(CommandTest):
    def chat(self, lines, *arguments, model=DRAFT):
        """The answers to `lines` as JSON, greedy and eight tokens long."""
        done = self.succeed("run", model, "--chat", "--format", "json", "-n", 8, *arguments,
                            stdin="".join(line + "\n" for line in lines).encode())
        return [json.loads(line) for line in done.stdout.splitlines()]

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def ids_of(self, text):
        return self.json_of("tokenize", DRAFT, "-p", text, "--parse-special", "--no-bos")["ids"]


class Pipe(ChatTest):
    def test_answers_are_those_of_the_rendered_conversation(self):
        said = []
        for question, answer in zip(QUESTIONS, self.chat(QUESTIONS)):
            said.append(question)
            prompt = self.ids_of(rendered(*said))
            self.assertEqual(answer["prompt_tokens"], len(prompt))
            line = self.succeed("run", DRAFT, "--prompt-ids", ids_text(prompt), "-n", 8, "--print-ids").stdout
            self.assertEqual(answer["ids"], ids_of_line(line))
            said.append(answer["text"])
        self.assertEqual(len(said), 4)

    def test_only_answers_are_printed(self):
        answers = self.chat(QUESTIONS)
        done = self.succeed("run", DRAFT, "--chat", "-n", 8, stdin="\n".join(QUESTIONS).encode())
        self.assertEqual(done.stdout.decode(), "".join(answer["text"] + "\n" for answer in answers))
        self.assertEqual(done.stderr, "")

    def test_what_was_read_is_kept_until_a_reset(self):
        first, second, again = self.chat([*QUESTIONS, "/reset", QUESTIONS[0]])
        self.assertEqual(first["known_tokens"], 0)
        self.assertGreaterEqual(second["known_tokens"], first["prompt_tokens"])
        self.assertEqual(again["known_tokens"], 0)
        self.assertEqual(again["ids"], first["ids"])

    def test_exit_ends_and_blank_lines_are_no_questions(self):
        self.assertEqual(len(self.chat(["", QUESTIONS[0], "", "/exit", QUESTIONS[1]])), 1)

    def test_special_tokens_in_a_question_are_text(self):
        (answer,) = self.chat(["</s>"])
        self.assertGreater(answer["prompt_tokens"], len(self.ids_of(rendered("</s>"))))

    def test_generation_config_stops(self):
        model = self.copy_of(DRAFT)
        stop = self.chat(QUESTIONS[:1])[0]["ids"][5]
        path = model / "generation_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": [2, stop]}))
        (answer,) = self.chat(QUESTIONS[:1], model=model)
        self.assertEqual(answer["stop"], "end of sequence")
        self.assertNotIn(stop, answer["ids"])
        self.assertLessEqual(len(answer["ids"]), 5)


class Template(ChatTest):
    SYSTEM = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    REFUSES = "{{ bos_token }}\n{% if messages[0].role == 'system' %}\n{{ raise_exception('no system role') }}{% endif %}"

    def test_a_file(self):
        template = self.write("t.jinja", self.SYSTEM)
        options = ["--chat-template", template]
        (told,) = self.chat(["Hi"], *options, "--system", "Be brief.")
        self.assertEqual(told["prompt_tokens"], len(self.ids_of("system: Be brief.\nuser: Hi\n")))
        (free,) = self.chat(["Hi"], *options)
        self.assertEqual(free["prompt_tokens"], len(self.ids_of("user: Hi\n")))
        self.assertEqual(len(self.chat(["Hi"], *options, model=MODELS / "gpt2-demo")), 1)

    def test_a_name(self):
        model = self.copy_of(DRAFT)
        (model / "additional_chat_templates").mkdir()
        (model / "additional_chat_templates" / "bare.jinja").write_text(self.SYSTEM)
        (answer,) = self.chat(["Hi"], "--chat-template", "bare", model=model)
        self.assertEqual(answer["prompt_tokens"], len(self.ids_of("user: Hi\n")))
        self.assert_refused(["run", model, "--chat", "--chat-template", "rag"], "'rag'", "'bare'", "'default'")

    def test_none(self):
        self.assert_refused(["run", MODELS / "gpt2-demo", "--chat"], "gpt2-demo", "--chat-template")
        self.assert_refused(["run", MODELS / "gpt2-demo", "--chat", "--chat-template", "x.jinja"], "x.jinja")

    def test_one_that_refuses_the_system(self):
        template = self.write("t.jinja", self.REFUSES)
        self.assert_refused(["run", DRAFT, "--chat", "--chat-template", template, "--system", "Be brief."],
                            f"{template}:3: no system role")

    def test_one_that_leaves_the_system_out(self):
        done = self.succeed("run", DRAFT, "--chat", "--system", "Be brief.")
        self.assertIn("--system has no effect", done.stderr)


class Refused(ChatTest):
    def refused(self, stdin, *arguments):
        return lambda *mentions: self.assert_refused(["run", DRAFT, "--chat", *arguments], *mentions, stdin=stdin)

    def test_messages(self):
        self.refused(b"ab\xff\n")("byte 2", "0xff", "UTF-8")
        self.refused(b"/rest\n")("/rest", "/reset")
        self.refused(b"a b c d e f g h\n", "-c", 8)("at most 8", "/reset")

    def test_a_context_that_runs_full(self):
        done = self.succeed("run", DRAFT, "--chat", "-c", 24, "-n", -1, "--ignore-eos", stdin=b"Tell me\n")
        self.assertIn("context of 24 tokens is full: /reset", done.stderr)

    def test_flags(self):
        self.refused(b"", "-p", "x")("--chat", "--prompt")
        self.refused(b"", "-c", 1 << 40)("--context", "--allow-long")
        self.assert_refused(["run", DRAFT, "-p", "x", "--system", "y"], "--system", "--chat")
        self.assert_refused(["run", "shape:tinyllama-1.1b", "--chat"], "shape:tinyllama-1.1b", "tokenizer")


class Terminal(ChatTest):
    """Somebody at a terminal."""

    def start(self, *arguments):
        self.terminal, side = pty.openpty()
        self.addCleanup(os.close, self.terminal)
        self.process = subprocess.Popen(
            [command_test.options.program, "run", str(DRAFT), "--chat", *map(str, arguments)],
            stdin=side, stdout=side, stderr=side, start_new_session=True, cwd=self.folder,
            env={**os.environ, "TERM": "xterm", "HOME": str(self.folder)},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(side)
        self.addCleanup(self.end)
        self.shown = ""
        self.expect(r"/help lists.*> ")

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def type(self, keys):
        os.write(self.terminal, keys.encode())

    def expect(self, pattern):
        """Waits until it is shown, and returns all since the last."""
        deadline = time.monotonic() + command_test.TIMEOUT_SECONDS / 4
        while not (found := re.search(pattern, self.shown, re.DOTALL)):
            ready, _, _ = select.select([self.terminal], [], [], max(0, deadline - time.monotonic()))
            self.assertTrue(ready, f"{pattern!r} does not come after {self.shown!r}")
            self.shown += os.read(self.terminal, 4096).decode(errors="replace")
        seen, self.shown = self.shown[:found.end()], self.shown[found.end():]
        return seen

    def leave(self):
        self.type("/exit\r")
        self.assertEqual(self.process.wait(timeout=60), 0)

    def test_control_c_stops_the_answer_alone(self):
        # Far longer than a person, or a test on a busy machine, takes to press the keys.
        self.start("-n", 30000, "-c", 31000, "--allow-long", "--ignore-eos")
        self.type(QUESTIONS[0] + "\r")
        # The line editor's last word, then the answer's first: a Ctrl-C before that drops the question.
        self.expect(r"dog\.\r\n.*\x1b\[\?2004l.*?\w")
        self.type("\x03")
        self.expect(r"stopped: stopped.*> ")
        self.type("/reset\r")
        self.expect("> ")
        self.leave()

    def test_control_c_drops_what_was_typed(self):
        self.start("-n", 4)
        self.type("never asked")
        self.expect("asked")
        self.type("\x03")
        self.expect(r"\n.*> ")
        self.leave()

    def test_a_pasted_text_is_one_question(self):
        self.start("-n", 4, "--format", "json")
        text = "Tell me\na \u201cstory\u201d"
        self.type("\x1b[200~" + text.replace("\n", "\r") + "\x1b[201~")
        self.type("\r")
        answer = json.loads(re.search(r"\{.*\}", self.expect(r"\{.*\}"))[0])
        self.assertEqual(answer["prompt_tokens"], len(self.ids_of(rendered(text))))
        self.expect("stopped: .*> ")
        self.leave()

    def test_history_and_the_end_of_input(self):
        self.start()
        self.type("/help\r")
        self.expect("Ctrl-C stops.*> ")
        self.type("\x1b[A\r")
        self.expect("Ctrl-C stops.*> ")
        self.type("\x04")
        self.assertEqual(self.process.wait(timeout=60), 0)

    def test_a_mistake_is_told_and_the_talk_goes_on(self):
        self.start("-c", 8)
        self.type(QUESTIONS[0] + "\r")
        self.expect(r"at most 8.*/reset.*> ")
        self.leave()

    def test_being_asked_to_end(self):
        self.start()
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(timeout=60), 130)


if __name__ == "__main__":
    command_test.main()
