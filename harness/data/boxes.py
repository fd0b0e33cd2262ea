"""The boxes of the objects in the ILSVRC-2012 validation images, where they lie beside the images as ImageNet ships them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from PIL import Image, ImageDraw

from harness.errors import HarnessError

_FOLDERS = ("Annotations/CLS-LOC/val", "bbox/val")
"""In ImageNet's object localisation archive, and in ILSVRC2012_bbox_val_v3.tgz."""
_LEVELS = 4


def boxes_folder(images: Path) -> Path | None:
    """The folder of boxes that belongs to a copy of the images: inside it, or beside it or one of the folders around it."""
    around = (images, *images.parents[:_LEVELS])
    return next((folder for base in around for name in _FOLDERS if (folder := base / name).is_dir()), None)


def box_mask(folder: Path, sample_id: str, size: tuple[int, int]) -> Image.Image | None:
    """The object's boxes of an image, white on black, mode "RGB"; None where the image has no file of boxes.

    Args:
        sample_id: as in `ILSVRC2012_val_00000001.JPEG`.
        size: width and height of the image here, to which boxes are scaled.

    Raises:
        HarnessError: the file is damaged.
    """
    path = folder / f"{Path(sample_id).stem}.xml"
    if not path.is_file():
        return None
    try:
        tree = ElementTree.parse(path)
        width, height = (float(tree.findtext(f"size/{side}", "")) for side in ("width", "height"))
        boxes = [
            [float(box.findtext(edge, "")) for edge in ("xmin", "ymin", "xmax", "ymax")] for box in tree.iter("bndbox")
        ]
    except (ElementTree.ParseError, ValueError) as error:
        raise HarnessError(f"{path} is no file of boxes: {error}.", remedy="Unpack ImageNet's boxes again.") from error
    mask = Image.new("RGB", size)
    draw = ImageDraw.Draw(mask)
    for left, top, right, bottom in boxes:
        x, y = size[0] / width, size[1] / height
        draw.rectangle((left * x, top * y, right * x - 1, bottom * y - 1), fill="white")
    return mask
