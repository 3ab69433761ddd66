"""Values: frozen, and compared by their fields.

They are Structs, because a start makes them all: a frozen dataclass takes twenty times as long to
make, since Python compiles its methods anew.  Two kinds are dataclasses still: what tools and their
tests are given, and what holds a secret, because a dataclass can leave a field out of its ``repr``.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

if TYPE_CHECKING:
    from dataclasses import replace  # so that the fields named are checked
else:

    def replace(value: Any, /, **changes: Any) -> Any:
        """Return a copy of a value of either kind with some fields changed."""
        if isinstance(value, Struct):
            return structs.replace(value, **changes)
        return dataclasses.replace(value, **changes)


__all__ = ["Struct", "replace"]
