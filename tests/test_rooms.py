"""The rooms of the house: each imports only those that stand above it, and no two files import each other in a circle."""

from __future__ import annotations

import ast
import subprocess
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import harness

PACKAGE = Path(harness.__file__).parent
ROOMS = (
    ("crash", "credentials", "errors", "files", "progress", "settings"),
    ("parsing",),
    ("evidence",),
    ("labels",),
    ("data",),
    ("models",),
    ("corruptions",),
    ("metrics",),
    ("facts",),
    ("runtime",),
    ("store",),
    ("benchmarking",),
    ("robustness",),
    ("examination",),
    ("evaluation",),
    ("figures",),
    ("cards",),
    ("export",),
    ("report",),
    ("hub",),
    ("__init__",),
    ("cli",),
    ("__main__",),
)
USED_BY_CLI = {
    "harness.cards.fill",  # the difference that `fill --diff` prints
    "harness.cards.record",
    "harness.crash",
    "harness.cards.slices",  # how slices are shown
    "harness.errors",
    "harness.evidence",  # how values are shown
    "harness.export.checks",  # a check as Markdown and JUnit XML
    "harness.files",
    "harness.parsing.files",  # how a path is shown
    "harness.parsing.yaml",  # a file of options
    "harness.metrics.paired",  # the name of the method
}
"""What the command line imports beside the public API: errors, and what parses options and prints records."""
HEIGHT = {room: height for height, rooms in enumerate(ROOMS) for room in rooms}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(name: str, *, types: bool = True) -> set[str]:
    """The modules of this package that a module imports anywhere, also inside functions and, with `types`, for types only."""
    found: set[str] = set()
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    if not types:
        tree.body = [node for node in tree.body if not isinstance(node, ast.If)]  # if TYPE_CHECKING:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from harness.room import module` means the module, `from harness import __version__` the version.
            found |= {
                full if (full := f"{node.module}.{alias.name}") in MODULES else node.module for alias in node.names
            }
            if node.module == "harness" and all(alias.name == "__version__" for alias in node.names):
                found.discard("harness")
    return {module for module in found if module in MODULES and module != name}


def room_of(name: str) -> str:
    return name.split(".")[1] if "." in name else "__init__"


IMPORTS = {name: imports_of(name) for name in MODULES}


def test_a_room_imports_only_rooms_above_it() -> None:
    height = {name: HEIGHT[room_of(name)] for name in MODULES}
    below = [f"{name} imports {other}" for name in MODULES for other in IMPORTS[name] if height[other] > height[name]]
    assert below == []


def test_no_files_import_each_other_in_a_circle() -> None:
    # A package's own __init__ re-exports its modules; what imports the package from inside it is a circle all the same.
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_the_command_line_calls_the_public_api() -> None:
    imported = {m for name in MODULES if room_of(name) == "cli" for m in imports_of(name, types=False)}
    assert {m for m in imported if room_of(m) not in ("cli", "__init__")} == USED_BY_CLI


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("harness", {"torch", "numpy", "pandas"}),
        ("harness.metrics", {"torch"}),
        ("harness.cards.claims", {"torch", "numba", "cv2"}),
        ("harness.cards.fill", {"torch", "numba", "cv2"}),
        ("harness.cards.render", {"torch", "numba", "cv2"}),
        ("harness.cards.verify", {"torch", "numba", "cv2"}),
    ],
)
def test_what_imports_fast_loads_nothing_heavy(module: str, heavy: set[str], python: str) -> None:
    code = f"import sys, {module}; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "\n"
