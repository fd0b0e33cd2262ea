"""The engine: every sample once, the same result however the work is cut, faults named."""

from __future__ import annotations

import subprocess
import textwrap
import threading
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from harness.errors import HarnessError
from harness.labels.projections import label_space_projections
from harness.labels.spaces import label_space
from harness.metrics.types import LabelSpacePredictions, concatenate
from harness.models.loading import LoadedModel
from harness.parsing.images import UnreadableImageError
from harness.runtime.batches import batches
from harness.runtime.decoders import Threads
from harness.runtime.engine import Job, Samples, predict, shards_of
from harness.runtime.execution import ExecutionConfig
from harness.runtime.network import Network
from tests.runtime.conftest import identity_spec, tiny_pixels, tiny_samples

if TYPE_CHECKING:
    from conftest import LabelledPhotograph

Run = Callable[..., Any]


def assert_same(found: LabelSpacePredictions, expected: LabelSpacePredictions) -> None:
    for field in fields(LabelSpacePredictions):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(expected, field.name), err_msg=field.name)


class TestOrderAndCutting:
    @pytest.mark.parametrize("count", [0, 1, 4, 7, 8, 21])
    def test_every_sample_is_written_once_in_order(self, run: Run, count: int) -> None:
        collected = run(count)
        assert collected.ids == [f"image-{position}" for position in range(count)]
        assert [len(shard.sample_id) for shard in collected.shards] == [8] * (count // 8) + [count % 8] * (
            count % 8 > 0
        )

    def test_the_logits_are_those_of_a_plain_loop(self, run: Run, plain_logits: Callable[[int], np.ndarray]) -> None:
        read, logits = run(21).readout(), plain_logits(21)
        np.testing.assert_array_equal(read.top5, np.argsort(-logits, axis=1, kind="stable")[:, :5])
        np.testing.assert_allclose(read.target_logit, logits[np.arange(21), np.arange(21) % 12], rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize(
        "options", [{"workers": 1}, {"workers": 5}, {"shard_size": 1}, {"shard_size": 5}, {"shard_size": 100}]
    )
    def test_workers_and_shards_change_no_bit(self, run: Run, options: dict[str, int]) -> None:
        assert_same(run(21, **options).readout(), run(21).readout())

    def test_another_batch_size_changes_nothing_but_rounding(self, run: Run) -> None:
        one, many = run(21, batch_size=1).readout(), run(21, batch_size=16).readout()
        np.testing.assert_array_equal(one.top5, many.top5)
        np.testing.assert_allclose(one.logsumexp, many.logsumexp, rtol=1e-5)

    def test_a_run_that_was_cut_anywhere_goes_on_to_the_same_bits(self, run: Run) -> None:
        whole = run(21).readout()
        for done in (8, 16):  # whole shards are what a kill leaves
            before, after = run(21, todo=range(done)), run(21, todo=range(done, 21))
            assert_same(concatenate([before.readout(), after.readout()]), whole)

    def test_only_what_is_asked_for_is_decoded(self, run: Run) -> None:
        seen: list[int] = []

        def pixels(position: int) -> np.ndarray:
            seen.append(position)
            return np.zeros((8, 8, 3), np.uint8)

        collected = run(40, pixels=pixels, todo=[3, 4, 17, 39])
        assert sorted(seen) == [3, 4, 17, 39]
        assert [shard.sample_id for shard in collected.shards] == [["image-3", "image-4"], ["image-17"], ["image-39"]]

    def test_progress_adds_up(self, run: Run) -> None:
        steps: list[int] = []
        run(21, progress=steps.append)
        assert steps == [4, 4, 4, 4, 4, 1]

    def test_a_shard_is_written_before_the_next_is_run(self, network_of: Callable[..., Network]) -> None:
        """So that a kill loses at most the shard in flight."""
        written: list[int] = []
        module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 12))
        network = network_of(module, batch_size=4)
        reached: list[int] = []
        job = Job("tiny", [identity_spec()], tiny_samples(24), tiny_pixels)
        with Threads(2) as decoder:
            for _ in predict(network, shards_of(job, range(24), 8), decoder=decoder, progress=reached.append):
                written.append(len(reached))
        assert written == [1, 3, 5]  # batches that were finished when each of the three shards was written

    @pytest.mark.slow
    def test_real_weights_on_photographs(self, lite0: LoadedModel, foolbox_images: list[LabelledPhotograph]) -> None:
        preprocessing = lite0.identity.preprocessing
        specs = label_space_projections(lite0.identity.output_labels(), label_space("imagenet-1k"), with_subsets=True)
        names = [photograph.name for photograph in foolbox_images]
        samples = Samples(names, names, np.array([photograph.label for photograph in foolbox_images]))

        def stored(shard_size: int, workers: int) -> dict[str, LabelSpacePredictions]:
            job = Job("photographs", specs, samples, lambda at: preprocessing.pixels(foolbox_images[at].image()))
            network = Network.of(lite0, ExecutionConfig(batch_size=8, workers=workers))
            with Threads(workers) as decoder:
                cut = shards_of(job, range(len(names)), shard_size)
                shards = [found for _, found in predict(network, cut, decoder=decoder)]
            return {spec.name: concatenate([shard.predictions[spec.name] for shard in shards]) for spec in specs}

        first, second = stored(shard_size=64, workers=1), stored(shard_size=8, workers=3)
        for name, readout in first.items():
            assert_same(second[name], readout)
        assert int((first["closed"].top5[:, 0] == first["closed"].label).sum()) == 18


class TestUnreadableImages:
    @staticmethod
    def damaged(*positions: int) -> Callable[[int], np.ndarray]:
        def pixels(position: int) -> np.ndarray:
            if position in positions:
                raise UnreadableImageError(f"image {position} is damaged")
            return tiny_pixels(position)

        return pixels

    def test_they_are_stored_as_such_and_the_others_are_untouched(self, run: Run) -> None:
        collected, whole = run(12, pixels=self.damaged(2, 9)), run(12).readout()
        assert collected.errors == [f"image {i} is damaged" if i in (2, 9) else None for i in range(12)]
        read = collected.readout()
        bad = np.isin(np.arange(12), (2, 9))
        assert (read.top5[bad] == -1).all()
        assert np.isnan(read.target_logit[bad]).all()
        assert np.isnan(read.logsumexp[bad]).all()
        np.testing.assert_array_equal(read.label, whole.label)
        np.testing.assert_array_equal(read.top5[~bad], whole.top5[~bad])

    @pytest.mark.parametrize("keep_logits", [False, True])
    def test_a_whole_batch_and_a_whole_shard_may_be_unreadable(self, run: Run, keep_logits: bool) -> None:
        for positions in (range(4), range(8), range(12)):
            collected = run(12, pixels=self.damaged(*positions), keep_logits=keep_logits)
            assert [error is None for error in collected.errors] == [p not in positions for p in range(12)]
            if keep_logits:
                logits = [shard.logits for shard in collected.shards]
                assert [part.shape for part in logits] == [(8, 12), (4, 12)]
                kept = np.concatenate(logits)
                assert np.isnan(kept[list(positions)]).all()
                assert not np.isnan(kept[len(positions) :]).any()

    def test_a_fault_that_is_no_image_s_ends_the_run(self, run: Run) -> None:
        def broken(position: int) -> np.ndarray:
            raise ZeroDivisionError(position)

        before = threading.active_count()
        with pytest.raises(ZeroDivisionError):
            run(12, pixels=broken)
        assert threading.active_count() == before


class TestLogits:
    class Spoilt(torch.nn.Module):
        """Gives one bad logit for images whose first pixel is 255."""

        def __init__(self, value: float) -> None:
            super().__init__()
            self.value = value

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros(len(images), 12)
            logits[images[:, 0, 0, 0] == 1.0, 3] = self.value  # 255 after normalisation with mean = std = 0.5
            return logits

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    def test_one_that_is_not_finite_fails_and_names_the_first_sample(self, run: Run, value: float) -> None:
        def pixels(position: int) -> np.ndarray:
            return np.full((8, 8, 3), 255 if position in (5, 6) else 0, np.uint8)

        with pytest.raises(HarnessError, match="not finite for 2 of 4 images, first for image-5") as caught:
            run(12, module=self.Spoilt(value), pixels=pixels)
        assert "--precision fp32" in str(caught.value)

    def test_the_name_is_right_where_an_earlier_image_of_the_batch_is_unreadable(self, run: Run) -> None:
        def pixels(position: int) -> np.ndarray:
            if position == 4:
                raise UnreadableImageError("damaged")
            return np.full((8, 8, 3), 255 if position == 6 else 0, np.uint8)

        with pytest.raises(HarnessError, match="1 of 3 images, first for image-6"):
            run(12, module=self.Spoilt(float("nan")), pixels=pixels)

    def test_all_of_them_are_kept_where_asked(self, run: Run, plain_logits: Callable[[int], np.ndarray]) -> None:
        collected = run(12, keep_logits=True)
        kept = np.concatenate([shard.logits for shard in collected.shards])
        assert kept.dtype == np.float16
        np.testing.assert_allclose(kept, plain_logits(12), atol=2e-3)
        assert all(shard.logits is None for shard in run(12).shards)

    @pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
    def test_the_memory_layout_changes_nothing_but_rounding(self, lite0: LoadedModel, layout: str) -> None:
        pixels = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        preprocessing = lite0.identity.preprocessing
        logits = Network.of(lite0, ExecutionConfig(memory_format=layout))(pixels)
        with torch.inference_mode():
            expected = lite0.module(preprocessing.normalise(pixels))
        torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-4)
        assert logits.dtype == torch.float32


class TestBoundedMemory:
    def test_only_a_few_batches_are_decoded_ahead(self) -> None:
        decoded: list[int] = []

        def pixels(position: int) -> np.ndarray:
            decoded.append(position)
            return np.zeros((8, 8, 3), np.uint8)

        groups = [range(start, start + 4) for start in range(0, 400, 4)]
        with Threads(2) as decoder:
            for number, batch in enumerate(batches(((pixels, group) for group in groups), decoder)):
                assert batch.positions == groups[number]
                # this batch, two ahead of it, and the one that takes the place of the batch just given
                assert len(decoded) <= 4 * (number + 4)
        assert len(decoded) == 400

    @pytest.mark.slow
    def test_the_peak_does_not_grow_with_the_number_of_images(self, python: str) -> None:
        # 1,000 images of 224 x 224 are 150 MB of pixels; what a run keeps is a few batches and one shard of results.
        script = textwrap.dedent("""
            import resource
            import numpy as np
            import torch
            from harness.labels.projections import LabelSpaceProjection
            from harness.runtime.decoders import Threads
            from harness.runtime.engine import Job, Samples, predict, shards_of
            from harness.runtime.execution import ExecutionConfig
            from harness.runtime.network import Network, prepare
            from harness.models.preprocessing import Preprocessing

            plain = Preprocessing(
                resize=None, crop=(224, 224), interpolation="nearest", mean=(0.5,) * 3, std=(0.5,) * 3
            )
            module = torch.nn.Sequential(torch.nn.AvgPool2d(32), torch.nn.Flatten(), torch.nn.Linear(147, 12))
            spec = LabelSpaceProjection("closed", np.arange(12), np.arange(12), "p")

            def peak_after(count):
                names = [str(position) for position in range(count)]
                config = ExecutionConfig(batch_size=16, workers=2)
                network = Network(prepare(module, config), plain, config, 12)
                samples = Samples(names, names, np.zeros(count, np.int64))
                job = Job("grey", [spec], samples, lambda position: np.full((224, 224, 3), position % 256, np.uint8))
                with Threads(2) as decoder:
                    for _ in predict(network, shards_of(job, range(count), 64), decoder=decoder):
                        pass
                return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

            few, many = peak_after(150), peak_after(1000)
            print((many - few) // 1024)
        """)
        done = subprocess.run([python, "-c", script], capture_output=True, text=True, timeout=120, check=True)
        assert int(done.stdout) < 50  # MiB

    def test_leaving_early_ends_the_decoding(self) -> None:
        before = threading.active_count()
        with Threads(2) as decoder:
            next(batches(((lambda position: np.zeros((8, 8, 3), np.uint8), [i]) for i in range(1000)), decoder))
        assert threading.active_count() == before


class TestCompiled:
    def test_short_batches_are_filled_up_and_cut_again(
        self, network_of: Callable[..., Network], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A compiled network sees one shape only; the answers are those of the network itself."""
        seen: list[int] = []

        def compiled(module: torch.nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
            def run(images: torch.Tensor) -> torch.Tensor:
                seen.append(len(images))
                return module(images)

            return run

        monkeypatch.setattr(torch, "compile", compiled)
        module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(4 * 36, 5))
        plain, fast = network_of(module, 5), network_of(module, 5, compiled=True, batch_size=4)
        for count in (4, 3, 1):
            pixels = torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8)
            torch.testing.assert_close(fast(pixels), plain(pixels))
        assert seen == [4, 4, 4]
