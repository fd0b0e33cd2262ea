"""The rooms of the house: each imports only those that stand above it, and no two files import each other in a circle."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import harness

PACKAGE = Path(harness.__file__).parent
ROOMS = (
    ("errors", "files", "progress", "settings"),
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
HEIGHT = {room: height for height, rooms in enumerate(ROOMS) for room in rooms}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(name: str) -> set[str]:
    """The modules of this package that a module imports anywhere, also inside functions and for types only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
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


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_room_imports_only_rooms_above_it(name: str) -> None:
    below = [m for m in imports_of(name) if HEIGHT[room_of(m)] > HEIGHT[room_of(name)]]
    assert not below, f"{name} imports {below}"


def test_no_files_import_each_other_in_a_circle() -> None:
    # A package's own __init__ re-exports its modules; what imports the package from inside it is a circle all the same.
    sorter = TopologicalSorter({name: imports_of(name) for name in MODULES})
    try:
        sorter.prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")
