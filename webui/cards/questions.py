"""Values that a provider's addresses need of the person: questions of a form, and their answers."""

from __future__ import annotations

from collections.abc import Mapping

from webui.oauth_manager import OAuthProvider
from webui.oauth_manager.values import Struct

PREFIX = "ask."  # of the fields' names


class Question(Struct, frozen=True):
    """One field: a text with an example, or a choice of ``choices`` (value, words)."""

    id: str
    name: str
    label: str
    value: str = ""
    example: str = ""
    choices: tuple[tuple[str, str], ...] = ()


def questions(
    provider: OAuthProvider, known: Mapping[str, str], place: str
) -> tuple[Question, ...]:
    """Return the fields of a form; ``known`` are values to begin with, ``place`` begins ids."""
    return tuple(
        Question(
            f"{place}-{one.name}",
            PREFIX + one.name,
            one.label,
            known.get(one.name, ""),
            one.example,
            tuple(one.choices.items()),
        )
        for one in provider.ask
    )


def answers(form: Mapping[str, object], known: Mapping[str, str]) -> dict[str, str]:
    """Return the values of a form, over those that are known."""
    typed = {
        name.removeprefix(PREFIX): value
        for name, value in form.items()
        if name.startswith(PREFIX) and isinstance(value, str)
    }
    return {**known, **typed}
