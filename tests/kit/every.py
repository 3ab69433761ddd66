"""One test for a fact that holds for every one of many things; a failure names all that differ."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

import pytest

LONGEST_NAME = 100


def every(
    names: str | tuple[str, ...], things: Mapping[str, Any] | Iterable[Any]
) -> Callable[[Callable[..., Any]], Any]:
    """Run a test once for each of ``things``, passed as the argument of that name.

    With several names, each thing is a tuple of as many values.  Fixtures are made once for all.
    """
    rows = {name: _arguments(names, thing) for name, thing in _named(things).items()}

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(test)
        def run(*args: Any, **given: Any) -> None:
            offenders: dict[str, AssertionError] = {}
            for name, row in rows.items():
                with _noted(name, offenders):
                    test(*args, **row, **given)
            _judge(rows, offenders)

        @wraps(test)
        async def run_async(*args: Any, **given: Any) -> None:
            offenders: dict[str, AssertionError] = {}
            for name, row in rows.items():
                with _noted(name, offenders):
                    await test(*args, **row, **given)
            _judge(rows, offenders)

        wrapped: Any = run_async if inspect.iscoroutinefunction(test) else run
        signature = inspect.signature(test)
        others = [p for name, p in signature.parameters.items() if name not in _tuple(names)]
        wrapped.__signature__ = signature.replace(parameters=others)
        return wrapped  # type: ignore[no-any-return]

    return decorate


@contextmanager
def _noted(name: str, offenders: dict[str, AssertionError]) -> Iterator[None]:
    """Collect what a row is refused for; any other error goes on, with the row's name."""
    try:
        yield
    except AssertionError as offence:
        offenders[name] = offence
    except pytest.fail.Exception as offence:  # of pytest.raises, if nothing is raised
        offenders[name] = AssertionError(offence.msg)
    except BaseException as error:
        error.add_note(f"in the row {name}")
        raise


def _judge(rows: Mapping[str, Any], offenders: Mapping[str, AssertionError]) -> None:
    assert rows, "there is nothing to look at"
    if offenders:
        said = "\n".join(f"{name}: {offence}" for name, offence in offenders.items())
        raise AssertionError(said) from next(iter(offenders.values()))


def _arguments(names: str | tuple[str, ...], thing: Any) -> dict[str, Any]:
    return {names: thing} if isinstance(names, str) else dict(zip(names, thing, strict=True))


def _named(things: Mapping[str, Any] | Iterable[Any]) -> dict[str, Any]:
    """Name what has no name by its number and the beginning of its ``repr``."""
    if isinstance(things, Mapping):
        return dict(things)
    return {f"{at}: {thing!r}"[:LONGEST_NAME]: thing for at, thing in enumerate(things)}


def _tuple(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names
