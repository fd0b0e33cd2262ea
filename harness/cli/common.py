"""What the verbs share: the application, and how results and failures are shown."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

import harness
from harness import crash
from harness.cli.options import options_of
from harness.errors import ExitCode, HarnessError, writable

app = typer.Typer(
    name="harness",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Evaluate image classifiers and write model cards in which every number can be checked.\n\n"
    "Start with `harness demo`. Your model on your images: `harness run --model ./my-model --data ./photos`; on what is\n"
    "published: `harness run --suite robustness --model convnext-base-224-22k`.\n\n"
    "Exit codes: 0 done, 1 failed, 2 usage, 3 incomplete (some evidence is pending), 4 data, weights or access missing, "
    "5 a check failed, 130 interrupted.",
)

_ELSEWHERE = {
    "--tasks": "--suite NAME, or --data DIR for data of your own: `harness list suites` names them",
    "--model-args": "--model with the checkpoint itself, such as hf:ORG/NAME or timm:NAME",
    "--model_args": "--model with the checkpoint itself, such as hf:ORG/NAME or timm:NAME",
    "--dataset": "--data DIR, or --suite NAME",
}
"""What other evaluation harnesses call things, and what does it here."""


class _Command(TyperCommand):
    """A verb that answers the options of other tools with its own."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        own = {name for parameter in self.params for name in parameter.opts}
        for name in (arg.partition("=")[0] for arg in args):
            if name in _ELSEWHERE and name not in own and "--suite" in own:
                raise typer.BadParameter(f"There is no {name} here. Give {_ELSEWHERE[name]}.", ctx)
        return super().parse_args(ctx, args)


def verb(
    calls: Callable[..., object] | None = None, *, positional: str = "", without: Sequence[str] = ()
) -> Callable[[Callable[..., ExitCode | None]], Callable[..., None]]:
    """Adds a verb to the application. A user's error is a sentence on stderr with its exit code; Ctrl-C is 130.

    Args:
        calls: the public function whose arguments are options of the verb, with the same defaults. Those that the verb
            declares have the verb's type and default, and its help where it gives one; the others come to it as keywords.
        positional: the argument that is given without a name.
        without: arguments that are no options.
    """

    def add(function: Callable[..., ExitCode | None]) -> Callable[..., None]:
        declared = inspect.signature(function, eval_str=True).parameters
        options = options_of(calls, positional) if calls else {}
        for name, own in declared.items():
            if own.kind is own.VAR_KEYWORD:
                continue
            if not hasattr(own.annotation, "__metadata__"):
                own = own.replace(annotation=Annotated[own.annotation, *options[name].annotation.__metadata__])
            options[name] = own

        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> None:
            try:
                with crash.interruptible():
                    code = function(*args, **kwargs) or ExitCode.DONE
            except HarnessError as error:
                code = error.exit_code
                say(f"harness: {error}")
            except KeyboardInterrupt:
                code = ExitCode.INTERRUPTED
                say(crash.INTERRUPTED)
            raise typer.Exit(int(code))

        shown = [p for p in options.values() if hasattr(p.annotation, "__metadata__") and p.name not in without]
        parameters = [p.replace(kind=p.KEYWORD_ONLY) for p in shown]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        app.command(function.__name__.rstrip("_"), cls=_Command)(run)
        return run

    return add


def say(message: str) -> None:
    sys.stderr.write(f"{writable(message)}\n")


def print_text(text: str) -> None:
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def print_json(data: object) -> None:
    print_text(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))


def show(output_format: str, data: object, text: str) -> None:
    """Print a result for machines or for people."""
    if output_format == "json":
        print_json(data)
    else:
        print_text(text)


def confirm(question: str) -> bool:
    """Ask on a terminal; elsewhere the answer is no."""
    return sys.stdin.isatty() and sys.stderr.isatty() and typer.confirm(question, err=True)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        print_text(f"harness {harness.__version__}")
        raise typer.Exit
