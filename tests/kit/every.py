"""One test for a fact that holds for every one of many things; a failure names all that differ."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any


def every(
    names: str | tuple[str, ...], things: Mapping[str, Any] | Iterable[Any]
) -> Callable[[Callable[..., None]], Any]:
    """Run a test once for each of ``things``, passed as the argument of that name.

    With several names, each thing is a tuple of as many values.
    """
    told = dict(things) if isinstance(things, Mapping) else _by_words(things)

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @wraps(test)
        def run(*args: Any, **given: Any) -> None:
            offenders = {}
            for name, thing in told.items():
                passed = (
                    {names: thing}
                    if isinstance(names, str)
                    else dict(zip(names, thing, strict=True))
                )
                try:
                    test(*args, **passed, **given)
                except AssertionError as offence:
                    offenders[name] = str(offence)
            assert told, "there is nothing to look at"
            assert not offenders, "\n".join(f"{n}: {said}" for n, said in offenders.items())

        signature = inspect.signature(test)
        others = [p for name, p in signature.parameters.items() if name not in _tuple(names)]
        run.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]
        return run

    return decorate


def _by_words(things: Iterable[Any]) -> dict[str, Any]:
    return {f"{number}: {thing!r}": thing for number, thing in enumerate(things)}


def _tuple(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names
