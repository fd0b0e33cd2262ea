"""Pages that are made from the code: the command line's reference and the ledger's schema."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from harness.cli import app
from harness.evidence import Ledger


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for path, text in {"reference/cli.md": command_line(), "reference/ledger.md": ledger()}.items():
        files.append(File.generated(config, path, content=text))
    return files


def command_line() -> str:
    """Every verb with its words, arguments and options, as typer shows them."""
    group: Any = typer.main.get_command(app)
    context = typer.Context(group, info_name="harness")
    parts = ["# Command line\n\n" + _paragraphs(group.help or "")]
    for name in sorted(group.commands):
        command = group.commands[name]
        words = _paragraphs(inspect.cleandoc(command.help or ""))
        parts.append(f"## harness {name}\n\n{words}\n\n" + "\n".join(_options(command, context)))
    return "\n\n".join(parts) + "\n"


def _paragraphs(text: str) -> str:
    return text.replace("\b", "").strip()


def _options(command: Any, context: typer.Context) -> Iterator[str]:
    yield "| option | meaning | default |\n| --- | --- | --- |"
    for parameter in command.get_params(context):
        if parameter.name == "help":
            continue
        names = ", ".join([*parameter.opts, *parameter.secondary_opts])
        if parameter.param_type_name == "argument":
            names = str(parameter.name).upper()
        default = parameter.default() if callable(parameter.default) else parameter.default
        shown = "" if default in (None, False, ()) or parameter.required else f"`{default}`"
        words = re.sub(r"\s+", " ", parameter.help or "").replace("|", "\\|")
        yield f"| `{names}` | {words}{' **Required.**' if parameter.required else ''} | {shown} |"


def ledger() -> str:
    """The fields of `evidence.json`, from its JSON schema, and the schema itself."""
    schema = Ledger.json_schema()
    parts = [
        "# The ledger\n\n`evidence.json` holds all the evidence of one model. It validates against the schema at the end of this "
        "page; `harness.Ledger.load(path)` reads and checks it. What the classes and keys mean stands under [Evidence](../evidence.md)."
    ]
    for title, record in {"Ledger": schema, **schema["$defs"]}.items():
        if "properties" not in record:
            continue
        rows = [f"| `{name}` | {_type(field)} | {_words(field)} |" for name, field in record["properties"].items()]
        parts.append(f"## {title}\n\n| field | type | meaning |\n| --- | --- | --- |\n" + "\n".join(rows))
    parts.append(f"## JSON schema\n\n```json\n{json.dumps(schema, indent=2)}\n```")
    return "\n\n".join(parts) + "\n"


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(part) for part in field["anyOf"])
    if "$ref" in field:
        return str(field["$ref"].rpartition("/")[2])
    return (
        f"list of {_type(field['items'])}" if field.get("items") else str(field.get("const", field.get("type", "any")))
    )


def _words(field: dict[str, Any]) -> str:
    return re.sub(r"\s+", " ", str(field.get("description", ""))).replace("|", "\\|")
