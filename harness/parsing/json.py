"""JSON of configurations, ledgers and other notes: strict (no NaN), bounded in size and depth, and of the shape that is asked for."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, overload

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from harness.parsing.files import MOST_BYTES, MalformedError, read_bytes

MOST_DEPTH = 60
_LARGEST = sys.float_info.max

_T = TypeVar("_T")


@overload
def parse_json(data: bytes | str, where: object = ...) -> dict[str, Any]: ...
@overload
def parse_json(data: bytes | str, where: object, shape: type[_T], *, most: int = ...) -> _T: ...
def parse_json(
    data: bytes | str, where: object = "the JSON", shape: Any = dict[str, Any], *, most: int = MOST_BYTES
) -> Any:
    """Read a JSON text as what it should be.

    Args:
        shape: any type that pydantic knows; an object with any values without it.

    Raises:
        MalformedError: it is no JSON, has another shape (with the way to the field), or is too large or deep.
    """
    if len(data) > most:
        raise MalformedError(where, f"it has {len(data):,} bytes; {most:,} are the most")
    try:
        value = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise MalformedError(where, f"not valid JSON: {error}") from error
    _check(value, where)
    return shaped(value, shape, where)


def read_json(path: Path, shape: Any = dict[str, Any], *, most: int = MOST_BYTES) -> Any:
    """Read a JSON file as `parse_json` does. Raises MalformedError, AbsentError where there is none."""
    return parse_json(read_bytes(path, most=most), path, shape, most=most)


def shaped(value: Any, shape: Any, where: object) -> Any:
    """A value as a type that pydantic knows. Raises MalformedError with the way to the first field that doesn't fit."""
    try:
        return _adapter(shape).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file as a whole"
        raise MalformedError(where, f"{place}: {first['msg']}") from error


@lru_cache(maxsize=64)
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def _check(value: Any, where: object) -> None:
    """Refuse what is nested too deep for those who walk through it, and numbers that no float holds."""
    level: list[Any] = [[value]]
    for _ in range(MOST_DEPTH):
        parts = [part for whole in level for part in (whole.values() if isinstance(whole, dict) else whole)]
        if any(isinstance(part, int | float) and abs(part) > _LARGEST for part in parts):
            raise MalformedError(where, "a number in it is larger than any float")
        level = [part for part in parts if isinstance(part, dict | list)]
        if not level:
            return
    raise MalformedError(where, f"it is nested more than {MOST_DEPTH} deep")
