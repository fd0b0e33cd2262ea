"""Examples that end a docstring, as a section that the reference shows as code."""

from __future__ import annotations

import re
from textwrap import indent
from typing import Any

import griffe


class Examples(griffe.Extension):
    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = re.sub(
                r"(?:^|\n\n)(>>> .*)\Z",
                lambda match: f"\n\nExamples:\n{indent(match[1], '    ')}",
                obj.docstring.value,
                flags=re.DOTALL,
            )
