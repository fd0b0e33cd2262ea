"""Decoding of one image, exactly as published accuracies were made: Pillow, then RGB.

Promise: the pixels equal those of torchvision's default loader (`Image.open(...).convert("RGB")`); a file that is
not whole is an error and never a partly grey picture, as is one whose grey values 8 bits can't hold; nothing is printed or warned about on the way.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from harness.errors import HarnessError

MAX_PIXELS = 100_000_000
"""Larger images are refused before they are decoded; the largest published ones here have a few tens of megapixels."""


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
    """Decode a whole JPEG, PNG, WebP or other file that Pillow reads to a loaded image of mode "RGB" (8 bits a channel).

    Raises UnreadableImageError: empty, truncated, unknown format, damaged, deeper than 8 bits, or more than `MAX_PIXELS` pixels.
    """
    if not data:
        raise UnreadableImageError("The image is empty (0 bytes).")
    try:
        # Pillow warns about odd metadata and about sizes that are checked here anyway; the pixels are what counts.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                if image.width * image.height > MAX_PIXELS:
                    claim = f"{image.width} × {image.height} pixels, more than {MAX_PIXELS:,}"
                    raise UnreadableImageError(f"The image claims {claim}: refused as a decompression bomb.")
                _check_depth(image)
                return image.convert("RGB")
    except UnidentifiedImageError as error:  # its own text holds a memory address
        raise UnreadableImageError("The file is no image that Pillow can read.") from error
    except (OSError, SyntaxError, ValueError, ArithmeticError, MemoryError, EOFError) as error:
        # Pillow's decoders raise any of these on damaged files (SyntaxError: broken PNG chunks).
        raise UnreadableImageError(f"The image can't be decoded: {str(error) or type(error).__name__}.") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(f"The image is refused: {error}.") from error
