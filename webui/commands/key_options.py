"""Options of ``webui keys new``: rights, people, networks, an end, a rate."""

from __future__ import annotations

import re
from collections.abc import Callable

import click

from webui.addresses import network_of
from webui.api.service_keys import OTHERS_A_MINUTE, RIGHTS
from webui.text.names import entries, read_user_id

_LIFE = re.compile(r"([1-9][0-9]{0,4})([hd])")
_HOURS = {"h": 1, "d": 24}
_RATE = re.compile(r"([1-9][0-9]{0,6})(?:/([1-9][0-9]{0,6}))?")


def between_commas(
    read: Callable[[str], str],
) -> Callable[[click.Context, click.Parameter, str], tuple[str, ...]]:
    """Return a reader of values between commas; ``read`` raises ``ValueError`` for a wrong one."""

    def split(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
        try:
            return tuple(dict.fromkeys(read(part) for part in entries(value or "")))
        except ValueError as fault:
            raise click.BadParameter(f"{fault}.") from None

    return split


def right(text: str) -> str:
    if text not in RIGHTS:
        raise ValueError(f"a right is one of {', '.join(RIGHTS)}")
    return text


def user(text: str) -> str:
    return read_user_id(text[:-1]) + "*" if text.endswith("*") else read_user_id(text)


def network(text: str) -> str:
    return str(network_of(text))


def life(_: click.Context, __: click.Parameter, value: str) -> float:
    """Read ``90d`` or ``12h`` as seconds; 0 for nothing."""
    if not value:
        return 0.0
    found = _LIFE.fullmatch(value)
    if found is None:
        raise click.BadParameter("neither days, such as 90d, nor hours, such as 12h.")
    return int(found[1]) * _HOURS[found[2]] * 3600.0


def rate(_: click.Context, __: click.Parameter, value: str) -> tuple[int, int]:
    found = _RATE.fullmatch(value)
    if found is None:
        raise click.BadParameter("neither a number nor two, such as 6000/60.")
    return int(found[1]), int(found[2] or OTHERS_A_MINUTE)


def name(_: click.Context, __: click.Parameter, value: str) -> str:
    if not 0 < len(value) <= 64 or not value.isprintable():
        raise click.BadParameter("one line of at most 64 characters.")
    return value
