"""One test for a fact that holds for every one of many things; a failure names all that differ."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any


def every(argument: str, things: Mapping[str, Any]) -> Callable[[Callable[..., None]], Any]:
    """Run a test once for each of ``things`` (name -> value), passed as ``argument``."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @wraps(test)
        def run(*args: Any, **given: Any) -> None:
            offenders = {}
            for name, thing in things.items():
                try:
                    test(*args, **{argument: thing}, **given)
                except AssertionError as offence:
                    offenders[name] = str(offence)
            assert things, "there is nothing to look at"
            assert not offenders, "\n".join(f"{n}: {said}" for n, said in offenders.items())

        signature = inspect.signature(test)
        others = [p for name, p in signature.parameters.items() if name != argument]
        run.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]
        return run

    return decorate
