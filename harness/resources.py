"""Where the folders that ship with the package are: templates/ and eval_suites/.

In a checkout they lie beside the package; in a wheel they are inside it, with a leading underscore.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped_folder(name: str) -> Path:
    """The folder `name` ("templates" or "eval_suites") of this installation.

    Raises:
        FileNotFoundError: the installation is damaged.
    """
    for folder in (_PACKAGE / f"_{name}", _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"{name}/ is missing from this installation of harness ({_PACKAGE}); reinstall it")
