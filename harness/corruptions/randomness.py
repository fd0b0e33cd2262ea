"""Random streams that belong to one corrupted picture and to nothing else.

A stream is named by (sample id, corruption, severity, seed). Its words come from Philox4x32-10, a counter-based
generator (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", section 3.3), whose key and counter
are taken from the SHA-256 of the name. So pixels don't depend on batch, order, worker or shard, nor on the
version of NumPy, whose distributions may change their streams between releases (NEP 19).

The distributions are made from the words with integers, tables and single IEEE operations, which give the same
bits on every machine. A word has 32 bits: a uniform has 2**32 values, and a normal ends at 6.3 standard deviations.
"""

from __future__ import annotations

import functools
import hashlib
import json
import struct

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtri

Words = NDArray[np.uint32]

# Constants of Philox4x32 (Salmon et al. 2011, table 2 and section 3.3).
_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint64(0x9E3779B9)
_WEYL_1 = np.uint64(0xBB67AE85)
_ROUNDS = 10
_LOW_32 = np.uint64(0xFFFFFFFF)
_SHIFT_32 = np.uint64(32)

# Layout of the normal quantile table: bins are uniform within each power of two of the tail probability.
_BLOCK = 2048
_FRACTION_BITS = 16
_FRACTION_MASK = (1 << _FRACTION_BITS) - 1
_SMALLEST_BIN = int(np.float32(0.5).view(np.uint32)) >> _FRACTION_BITS
_LARGEST_BIN = int(np.float32(2.0**31).view(np.uint32)) >> _FRACTION_BITS


@njit(cache=True, nogil=True, error_model="numpy")
def _philox(out: Words, counter_1: int, counter_2: int, key_0: int, key_1: int, first_block: int) -> None:
    """Fill column b of ``out`` (4, blocks) with Philox4x32-10 of (64-bit block number, counter_1, counter_2)."""
    for column in range(out.shape[1]):
        block = np.uint64(first_block + column)
        x0, x1 = block & _LOW_32, block >> _SHIFT_32
        x2, x3 = np.uint64(counter_1), np.uint64(counter_2)
        k0, k1 = np.uint64(key_0), np.uint64(key_1)
        for _ in range(_ROUNDS):
            product_0 = _MULTIPLIER_0 * x0
            product_1 = _MULTIPLIER_1 * x2
            x0 = (product_1 >> _SHIFT_32) ^ x1 ^ k0
            x1 = product_1 & _LOW_32
            x2 = (product_0 >> _SHIFT_32) ^ x3 ^ k1
            x3 = product_0 & _LOW_32
            k0 = (k0 + _WEYL_0) & _LOW_32
            k1 = (k1 + _WEYL_1) & _LOW_32
        out[0, column], out[1, column] = np.uint32(x0), np.uint32(x1)
        out[2, column], out[3, column] = np.uint32(x2), np.uint32(x3)


@njit(cache=True, nogil=True, error_model="numpy")
def _normals(words: Words, knots: NDArray[np.float32], slopes: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Normal quantiles: a word's upper 31 bits, plus one half, are a tail probability in units of 2**-32, whose float32
    holds its bin and its place in the bin in its bits; the lowest bit is the sign. Blocks stay in the nearest cache."""
    counts = np.empty(_BLOCK, dtype=np.float32)
    count_bits = counts.view(np.uint32)
    for start in range(0, words.size, _BLOCK):
        block, target = words[start : start + _BLOCK], out[start : start + _BLOCK]
        for i in range(block.size):
            counts[i] = np.float32(np.int32(block[i] >> np.uint32(1))) + np.float32(0.5)
        for i in range(block.size):
            bits = count_bits[i]
            quantile_bin = np.uint32(bits >> np.uint32(_FRACTION_BITS))
            fraction = np.float32(np.int32(bits & np.uint32(_FRACTION_MASK)))
            sign = np.float32(1 - 2 * np.int32(block[i] & np.uint32(1)))
            target[i] = sign * (knots[quantile_bin] + fraction * slopes[quantile_bin])


@njit(cache=True, nogil=True, error_model="numpy")
def _uniforms(words: Words, low: float, width: float, out: NDArray[np.float64]) -> None:
    for i in range(words.size):
        out[i] = low + width * (np.float64(words[i]) * 2.0**-32)


@functools.cache
def _quantile_table() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Upper-tail normal quantile at the lower edge of each bin, and its slope within the bin, float32; the bin of a tail
    count is the upper 16 bits of its float32. Linear interpolation is off by less than 4e-6 standard deviations."""
    edges = np.arange(_SMALLEST_BIN, _LARGEST_BIN + 2, dtype=np.uint32)
    counts = (edges << _FRACTION_BITS).view(np.float32).astype(np.float64)
    quantiles = -ndtri(np.minimum(counts / 2.0**32, 0.5))
    knots = np.zeros(_LARGEST_BIN + 1, dtype=np.float32)
    slopes = np.zeros_like(knots)
    knots[_SMALLEST_BIN:] = quantiles[:-1]
    slopes[_SMALLEST_BIN:] = np.diff(quantiles) / (1 << _FRACTION_BITS)
    return knots, slopes


class Stream:
    """The words of one named stream, taken in order.

    Args:
        name: what the stream belongs to; any values that JSON can write.
    """

    def __init__(self, *name: str | int) -> None:
        digest = hashlib.sha256(json.dumps(name, separators=(",", ":")).encode()).digest()
        self._counter_and_key = struct.unpack("<4I", digest[:16])
        self._block = 0

    def words(self, count: int) -> Words:
        """The next ``count`` words, uint32 (count,), uniform over all 32-bit values."""
        blocks = -(-count // 4)
        out = np.empty((4, blocks), dtype=np.uint32)
        _philox(out, *self._counter_and_key, self._block)
        self._block += blocks
        return out.reshape(-1)[:count]

    def uniform(self, low: float, high: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Uniform values in [low, high), float64."""
        out = np.empty(shape)
        _uniforms(self.words(out.size), low, high - low, out.reshape(-1))
        return out

    def one(self, low: float, high: float) -> float:
        """One uniform value in [low, high)."""
        return float(self.uniform(low, high, (1,))[0])

    def integers(self, low: int, high: int, count: int) -> NDArray[np.int64]:
        """Integers in [low, high), int64 (count,); a value's probability is off by less than 2**-32."""
        scaled = self.words(count).astype(np.uint64) * np.uint64(high - low)
        return low + (scaled >> _SHIFT_32).astype(np.int64)

    def normal(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Standard normal values, float32, one word each, by the inverse of the distribution function."""
        out = np.empty(shape, dtype=np.float32)
        _normals(self.words(out.size), *_quantile_table(), out.reshape(-1))
        return out
