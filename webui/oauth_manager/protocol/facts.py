"""Facts beside the tokens that a provider's data keep: ``KEEP``.  Scalars, never a token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..providers.provider import OAuthProvider
from .answers import value_at

_CALLBACK = "callback."
_LONGEST = 500  # characters of a fact


def returned(provider: OAuthProvider, values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the kept parameters of a callback, each as ``name=value``."""
    names = (path.removeprefix(_CALLBACK) for path in provider.keep if path.startswith(_CALLBACK))
    return tuple(f"{name}={values[name]}" for name in names if _is_plain(values.get(name)))


def kept(
    provider: OAuthProvider, fields: Mapping[str, Any], returned: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the kept facts of a connection, each as ``path=value``."""
    return (*_of_answer(provider, fields), *returned)


def _of_answer(provider: OAuthProvider, fields: Mapping[str, Any]) -> Iterator[str]:
    tokens = {fields.get(name) for name in ("access_token", "refresh_token", "id_token")} - {None}
    for path in provider.keep:
        value = value_at(fields, path)
        is_scalar = isinstance(value, (str, int, float))
        if is_scalar and _is_plain(str(value)) and value not in tokens:
            yield f"{path}={value}"


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST and value.isprintable()
