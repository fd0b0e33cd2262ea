"""`Settings` from the arguments of the public functions: each is read in one way, whichever function it is given to. Imports the
catalog of benchmarks only where a data set is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from harness.settings import DTYPES, Settings, as_path, as_tuple, hub_is_offline, parse_input_sizes, parse_target


def settings_of(
    given: Mapping[str, Any], *, own_data: bool = False, stored_data: bool = False, **fixed: Any
) -> Settings:
    """
    Args:
        given: a function's arguments, as `locals()` has them; those that are no settings don't count.
        own_data: whether some of `data` may be data of one's own.
        stored_data: likewise, but only such as models of the store have been run on.
        fixed: settings that the function decides.

    Raises:
        HarnessError: a value that no run can use, or a place for a data set that is no benchmark.
    """
    names = [field.name for field in fields(Settings) if field.name in given]
    settings = Settings(**{name: _READ[name](given[name]) if name in _READ else given[name] for name in names} | fixed)
    if settings.data and not own_data:
        from harness.data.catalog import get_benchmark, shipped
        from harness.store.ledgers import stored_ledgers

        is_own = stored_data and not settings.data.keys() <= shipped().keys()
        ledgers = stored_ledgers(settings.home) if is_own else []
        for name in settings.data:
            get_benchmark(name, *ledgers)
    return settings


def _places(data: Any) -> dict[str, str]:
    """Place by name of a benchmark, or of data of one's own."""
    if not data:
        return {}
    if isinstance(data, Mapping):
        return {name: str(place) for name, place in data.items()}
    from harness.data.catalog import parse_data_options

    return parse_data_options([str(place) for place in as_tuple(data)])


def _labels(labels: str | Sequence[str] | None) -> str | tuple[str, ...] | None:
    """A label space by its name, or the classes themselves."""
    named = as_tuple(labels)
    return None if labels is None else named[0] if len(named) == 1 else named


_READ: dict[str, Callable[[Any], Any]] = {
    "data": _places,
    "until": parse_target,
    "precision": lambda name: DTYPES.get(name, name),
    "labels": _labels,
    "offline": lambda asked: asked or hub_is_offline(),
    "input_size": lambda sizes: parse_input_sizes(as_tuple(sizes)),
    "slices": as_path,
    "by": as_tuple,
}
"""Settings that arguments are not taken for as they are."""
