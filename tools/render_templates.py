#!/usr/bin/env python3
"""Makes the golden files of tests/golden/templates with Jinja itself.

Jinja is set up as Hugging Face's transformers does it for chat templates: an immutable sandbox,
trim_blocks, lstrip_blocks, break and continue, generation blocks, tojson without HTML escapes.
Written from: families/*.jinja, conversations.json (every template with every conversation),
cases/*.txt (small templates between lines of "=====", rendered with variables.json).
Needs python3-jinja2 3.1: /usr/bin/python3 tools/render_templates.py
"""

import datetime
import json
import pathlib

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden" / "templates"


class GenerationBlocks(jinja2.ext.Extension):
    """{% generation %}...{% endgeneration %}: the text of the body, in a scope of its own."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_body")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    @staticmethod
    def _body(caller):
        return caller()


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(
        x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def strftime_now(pattern):
    return datetime.datetime.now().strftime(pattern)


def environment():
    made = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[GenerationBlocks, jinja2.ext.loopcontrols],
    )
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = raise_exception
    made.globals["strftime_now"] = strftime_now
    return made


def render(source, variables):
    """{"expected": text}, or {"error": what Jinja raised}."""
    try:
        return {"expected": environment().from_string(source).render(**variables)}
    except Exception as error:  # noqa: BLE001 - whatever Python raises is an error here
        return {"error": f"{type(error).__name__}: {error}"}


def read_json(name):
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"))


def write_json(name, rows):
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (GOLDEN / name).write_text("[\n" + lines + "\n]\n", encoding="utf-8")
    print(f"{name}: {len(rows)}")


def cases():
    variables = read_json("variables.json")
    for file in sorted((GOLDEN / "cases").glob("*.txt")):
        parts = file.read_text(encoding="utf-8").removesuffix("\n").split("\n=====\n")
        for number, source in enumerate(parts, 1):
            yield {
                "case": f"{file.stem}:{number}",
                "template": source,
                **render(source, variables),
            }


def renderings():
    data = read_json("conversations.json")
    files = sorted((GOLDEN / "families").glob("*.jinja"))
    files.append(ROOT / "models" / "demo" / "chat_template.jinja")
    for file in files:
        source = file.read_text(encoding="utf-8")
        for name, variables in data["conversations"].items():
            yield {
                "template": str(file.relative_to(ROOT)),
                "conversation": name,
                **render(source, data["tokens"] | variables),
            }


if __name__ == "__main__":
    write_json("cases.json", list(cases()))
    write_json("renderings.json", list(renderings()))
