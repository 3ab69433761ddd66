"""Kinds of arguments that several commands take."""

from __future__ import annotations

from typing import Any

import click

from webui.text.names import read_user_id


class UserId(click.ParamType[str]):
    """A person's id, checked like everywhere else."""

    name = "user"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return read_user_id(value)
        except ValueError as fault:
            self.fail(f"{fault}.", param, ctx)
