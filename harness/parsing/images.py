"""Decoding of one image, as published accuracies were made: Pillow, then RGB; and the bounds on its size.

Promise: the pixels equal those of torchvision's default loader (`Image.open(...).convert("RGB")`). A file that is not whole is an error
and never a partly grey picture, as is one whose grey values 8 bits can't hold; nothing is printed or warned about on the way. Other formats than those of `FORMATS` are
refused: Pillow reads some of them by starting other programs.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from harness.errors import HarnessError
from harness.parsing.files import MalformedError, read_bytes

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""What data sets consist of (an MPO is a JPEG); of several frames the first counts."""
MAX_PIXELS = 100_000_000
"""Larger images are refused before they are decoded, and before they are resized to it; the largest published ones here have a few
tens of megapixels."""


_DEEP = ("I", "I;16", "I;16B", "I;16L", "F")


class UnreadableImageError(HarnessError):
    """An image that can't be read or decoded; the message says why."""


def _check_depth(image: Image.Image) -> None:
    """Grey values of more than 8 bits are cut off at 255 by Pillow, and fractions become 0: a white or a black picture."""
    if image.mode not in _DEEP:
        return
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if low < 0 or high > 255 or (image.mode == "F" and high <= 1):
        raise UnreadableImageError(
            f"Its grey values run from {low:g} to {high:g}, which 8 bits can't hold: convert it to an 8-bit image as the model's "
            "training data were."
        )


def load_image(data: bytes) -> Image.Image:
    """Decode a whole image of one of the `FORMATS` to a loaded image of mode "RGB" (8 bits a channel).

    Raises UnreadableImageError: empty, truncated, another format, damaged, deeper than 8 bits, or more than
    `MAX_PIXELS` pixels.
    """
    if not data:
        raise UnreadableImageError("The image is empty (0 bytes).")
    try:
        # Pillow warns about odd metadata and about sizes that are checked here anyway; the pixels are what counts.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image.size, "The image claims")
                _check_depth(image)
                return image.convert("RGB")
    except UnidentifiedImageError as error:  # its own text holds a memory address
        raise UnreadableImageError(f"The file is no image of a known format ({', '.join(FORMATS)}).") from error
    except (OSError, SyntaxError, ValueError, ArithmeticError, MemoryError, EOFError) as error:
        # Pillow's decoders raise any of these on damaged files (SyntaxError: broken PNG chunks).
        raise UnreadableImageError(f"The image can't be decoded: {str(error) or type(error).__name__}.") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(f"The image is refused: {error}.") from error


def read_image(path: Path) -> Image.Image:
    """Decode an image file as `load_image` does. Raises UnreadableImageError."""
    try:
        return load_image(read_bytes(path))
    except UnreadableImageError as error:
        raise UnreadableImageError(f"{path}: {error.message}") from error
    except MalformedError as error:
        raise UnreadableImageError(error.message) from error


def resized(image: Image.Image, size: tuple[int, int], resample: Image.Resampling) -> Image.Image:
    """`Image.resize` to (width, height). Raises UnreadableImageError: more than `MAX_PIXELS`, of an image with an extreme shape."""
    _check_size(size, f"An image of {image.width} × {image.height} would be resized to")
    return image.resize(size, resample)


def _check_size(size: tuple[int, int], what: str) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise UnreadableImageError(f"{what} {size[0]} × {size[1]} pixels, more than {MAX_PIXELS:,}: refused.")
