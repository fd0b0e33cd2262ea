"""The random streams: the generator is Philox, the distributions are what they are called, the names keep apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import ndtri

from harness.corruptions import randomness
from harness.corruptions.randomness import Stream

# Known answers of Philox4x32-10 from the authors' Random123 distribution (kat_vectors): counter, key, result.
KNOWN_ANSWERS = [
    ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_words_are_those_of_philox(counter, key, expected):
    out = np.empty((4, 1), dtype=np.uint32)
    block = np.uint64(counter[0] | counter[1] << 32)
    randomness._philox(out, counter[2], counter[3], *key, block)
    assert tuple(out[:, 0]) == expected


def test_a_stream_goes_on_where_it_stopped_and_never_repeats_a_block():
    stream = Stream("a", 1)
    first, second = stream.words(10), stream.words(8)
    # Ten words take three blocks of four; the next request starts at the fourth.
    fresh = np.empty((4, 5), dtype=np.uint32)
    randomness._philox(fresh, *Stream("a", 1)._counter_and_key, 0)
    assert np.array_equal(first, fresh[:, :3].reshape(-1)[:10])
    assert np.array_equal(second, fresh[:, 3:].reshape(-1))


@given(st.text(), st.text(), st.integers(0, 2**63))
def test_different_names_give_different_streams(first, second, seed):
    one = Stream(first, second, seed).words(4)
    assert np.array_equal(one, Stream(first, second, seed).words(4))
    assert not np.array_equal(one, Stream(first + second, "", seed).words(4)) or second == ""
    assert not np.array_equal(one, Stream(first, second, seed + 1).words(4))


def test_normal_values_are_normal():
    values = Stream("normal").normal((400_000,)).astype(np.float64)
    # Kolmogorov-Smirnov against the definition; the stream is fixed, so the test can't fail by chance later.
    assert stats.kstest(values, "norm").pvalue > 0.01
    assert abs(values.mean()) < 4 / np.sqrt(values.size)
    assert abs((values**4).mean() - 3) < 4 * np.sqrt(96 / values.size)


def test_normal_values_invert_the_distribution_function():
    words = np.concatenate([np.arange(2000), 2**31 + np.arange(2000), 2**32 - 1 - np.arange(2000)]).astype(np.uint32)
    out = np.empty(words.shape, dtype=np.float32)
    randomness._normals(words, *randomness._quantile_table(), out)
    exact = np.where(words % 2, 1, -1) * ndtri(((words >> 1) + 0.5) / 2.0**32)
    assert np.abs(out - exact).max() < 4e-6  # what the table's docstring promises


def test_uniform_and_integers_cover_their_range_evenly():
    stream = Stream("uniform")
    values = stream.uniform(-2, 3, (200_000,))
    assert values.min() >= -2
    assert values.max() < 3
    assert stats.kstest(values, stats.uniform(-2, 5).cdf).pvalue > 0.01
    counts = np.bincount(stream.integers(4, 7, 90_000))
    assert counts[:4].sum() == 0
    assert stats.chisquare(counts[4:]).pvalue > 0.01
