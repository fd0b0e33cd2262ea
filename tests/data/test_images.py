"""Decoding: the same pixels as torchvision's default loader, and no half-read pictures."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.parsing.images import UnreadableImageError, load_image


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def odd_images() -> dict[str, bytes]:
    """Colour modes that occur in ImageNet (grey, CMYK, palette with transparency) and some that may."""
    gradient = Image.fromarray(np.arange(64 * 48 * 3, dtype=np.uint8).reshape(48, 64, 3))
    return {
        "grey.jpg": encoded(gradient.convert("L"), "JPEG"),
        "cmyk.jpg": encoded(gradient.convert("CMYK"), "JPEG"),
        "rgba.png": encoded(gradient.convert("RGBA"), "PNG"),
        "palette.png": encoded(gradient.convert("P"), "PNG", transparency=bytes(range(256))),
        "grey16.png": encoded(Image.fromarray(np.arange(16 * 16, dtype=np.uint16).reshape(16, 16)), "PNG"),
        "bilevel.png": encoded(gradient.convert("1"), "PNG"),
        "lossless.webp": encoded(gradient, "WEBP", lossless=True),
        "still.gif": encoded(gradient, "GIF"),
        "moving.gif": encoded(gradient, "GIF", save_all=True, append_images=[gradient.rotate(180)]),
        "still.bmp": encoded(gradient, "BMP"),
        "still.tiff": encoded(gradient, "TIFF"),
        "stereo.mpo": encoded(gradient, "MPO", save_all=True, append_images=[gradient.rotate(180)]),
    }


def test_pixels_equal_torchvisions_default_loader(photographs: Any, tmp_path: Path) -> None:
    from torchvision.datasets.folder import pil_loader

    for name, data in {**odd_images(), **{p.name: p.data for p in photographs}}.items():
        (tmp_path / name).write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of palettes with transparency; ours must stay silent
            reference = pil_loader(str(tmp_path / name))
        image = load_image(data)
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(image), np.asarray(reference), err_msg=name)


@pytest.mark.parametrize(
    ("form", "pixels"),
    [
        ("PNG", np.array([[0, 4095]], np.uint16)),
        ("TIFF", np.array([[0, 4095]], np.uint16)),
        ("TIFF", np.array([[0, 70000]], np.int32)),
        ("TIFF", np.array([[0.25, 1.0]], np.float32)),
    ],
)
def test_what_8_bits_can_t_hold_is_an_error_and_no_white_picture(form: str, pixels: np.ndarray) -> None:
    with pytest.raises(UnreadableImageError, match="8 bits can't hold"):
        load_image(encoded(Image.fromarray(pixels), form))


@pytest.mark.parametrize("form", ["EPS", "PCX", "ICO", "PPM"])
def test_formats_that_no_data_set_uses_are_not_even_tried(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow asks Ghostscript to draw an EPS."""
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was looked for"))
    with pytest.raises(UnreadableImageError, match="no image of a known format"):
        load_image(encoded(Image.new("RGB", (20, 20)), form))


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_jpeg_is_an_error(kept: float, photographs: Any) -> None:
    data = photographs[0].data
    with pytest.raises(UnreadableImageError, match="can't be decoded"):
        load_image(data[: int(len(data) * kept)])


@pytest.mark.parametrize("data", [b"", b"\x00" * 100, b"<html>not found</html>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_what_is_no_image_is_an_error(data: bytes) -> None:
    with pytest.raises(UnreadableImageError):
        load_image(data)


def test_a_broken_png_chunk_is_an_error() -> None:
    data = bytearray(encoded(Image.new("RGB", (64, 64)), "PNG"))
    data[data.index(b"IDAT") + 6] ^= 0xFF
    with pytest.raises(UnreadableImageError, match="can't be decoded"):
        load_image(bytes(data))


def png_that_claims(width: int, height: int) -> bytes:
    """A small file with a header for a huge picture."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_001, 50_000])
def test_decompression_bombs_are_refused_before_decoding(side: int) -> None:
    # 10,001² is just over our limit, 50,000² is over Pillow's own too
    with pytest.raises(UnreadableImageError, match="refused"):
        load_image(png_that_claims(side, side))


def test_damaged_metadata_does_not_warn(photographs: Any) -> None:
    data = photographs[0].data
    exif = b"Exif\x00\x00II*\x00\xff\xff\xff\xff"  # an offset beyond the block
    damaged = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_image(damaged).size == load_image(data).size
