"""report, view: what the store knows of some models, as one page for people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.common import DataOption, app, fails_cleanly, make_reporter, make_settings, say
from harness.errors import ExitCode, MissingInputError

ModelsOption = Annotated[
    list[str] | None,
    typer.Option("--models", "-m", help="A model with evidence in the store; may be repeated. All of them without it."),
]
ThumbnailsOption = Annotated[
    bool | None,
    typer.Option(
        help="Show images of the most confident errors. Without the option: where they are here and openly licensed, so "
        "none of a gated data set.",
    ),
]


@app.command()
@fails_cleanly
def report(
    models: ModelsOption = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .html file to write.")] = Path("report.html"),
    data: DataOption = None,
    thumbnails: ThumbnailsOption = None,
) -> ExitCode | None:
    """Write one self-contained HTML file about models in the store: nothing is run, and the page asks nothing of any network.

    Overview with intervals, comparison on the same images, shifted sets, corruptions, calibration, confusions, cost, the full
    ledger to search, and the command behind every number.

    Examples:

    `harness report --output report.html`

    `harness report --models resnet50 --models vgg16 --output two.html`

    `harness report --models efficientnet-lite0 --data imagenet-val=/data/val --thumbnails`
    """
    from harness.files import write_text

    text, size = _render(models, data, thumbnails)
    write_text(output, text)
    say(f"Report: {output} ({size:.2f} MB)")
    return None


@app.command()
@fails_cleanly
def view(
    page: Annotated[Path | None, typer.Argument(help="A report.html made before; without it, one is made now.")] = None,
    models: ModelsOption = None,
    data: DataOption = None,
    thumbnails: ThumbnailsOption = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open it in a browser.")] = True,
) -> ExitCode | None:
    """Show the report in a browser, served to this machine only (127.0.0.1), until Ctrl-C.

    Examples:

    `harness view`

    `harness view report.html --no-browser --port 8000`
    """
    from harness.report.serving import serve

    if page is None:
        text, _ = _render(models, data, thumbnails)
    else:
        try:
            text = page.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not text"
            raise MissingInputError(
                f"Can't read {page}: {why}.", remedy=f"Make it: harness report -o {page}"
            ) from error
    serve(text, port, announce=say, open_browser=browser)
    return None


def _render(models: list[str] | None, data: list[str] | None, thumbnails: bool | None) -> tuple[str, float]:
    """The page, and its size in MB."""
    from harness.evaluation.stored import stored_model, stored_names
    from harness.report import collect, render_report

    settings: Any = make_settings(data, True)
    names = list(dict.fromkeys(models or stored_names(settings.home)))
    if not names:
        raise MissingInputError(
            f"The store {settings.home} has no models.",
            remedy="Run a suite first, such as: harness demo",
        )
    chosen = [stored_model(name, settings.home) for name in names]
    text = render_report(collect(chosen, settings, make_reporter().note, thumbnails=thumbnails))
    return text, len(text.encode()) / 1e6
