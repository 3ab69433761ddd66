"""``webui erase``: one person's grants ended, and everything about them removed."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from webui.commands.arguments import UserId
from webui.commands.runner import read_settings, with_store
from webui.oauth_manager import Answer, EndedGrant, Erasure, OAuthManager
from webui.oauth_manager.storage.calls import RedisClient
from webui.people_data.erasure import erase as erase_person
from webui.support.identifiers import spelled
from webui.text.labels import clean_label, label_of

NOT_ENDED = 3  # everything is erased here, and a grant may go on at its provider

_ANSWERS = {
    Answer.REVOKED: "confirmed that the access is ended.",
    Answer.ENDED: "had ended the access before.",
    Answer.UNCONFIRMED: "did not confirm that the access is ended.",
    Answer.UNSUPPORTED: "takes no request to end access.",
    Answer.NOT_SET_UP: "was not asked: it is not set up here.",
    Answer.UNREADABLE: "was not asked: no key here opens the tokens.",
}


@click.command()
@click.argument("user", type=UserId())
@click.option("--yes", is_flag=True, help="Do not ask first.")
def erase(user: str, *, yes: bool) -> None:
    """End every grant of USER and remove everything about them; 3 if a grant may go on."""
    if not yes:
        asked = f"Erase everything about {spelled(user)}? Nobody can bring it back."
        click.confirm(asked, abort=True, err=True)
    settings = read_settings()
    told: list[str] = []

    async def work(manager: OAuthManager, redis: RedisClient) -> Erasure:
        erased = await erase_person(settings, manager, redis, user, "command")
        told.extend(_lines(manager, erased))
        return erased

    erased = with_store(work)
    for line in told:
        click.echo(line)
    if not erased.was_there:
        click.echo(f"Nothing was held about {spelled(user)}.")
        return
    click.echo(f"Everything about {spelled(user)} is erased here.")
    if not all(grant.is_over for grant in erased.grants):
        sys.exit(NOT_ENDED)


def _lines(manager: OAuthManager, erased: Erasure) -> Iterator[str]:
    """Yield a line for each grant, and what the person does if it was not ended."""
    for grant in erased.grants:
        account = clean_label(grant.account)
        who = grant.provider + (f" ({account})" if account else "")
        yield f"{who}: {label_of(grant.provider, manager.providers)} {_ANSWERS[grant.answer]}"
        if not grant.is_over:
            yield f"  They can end it there: {_place(manager, grant)}"


def _place(manager: OAuthManager, grant: EndedGrant) -> str:
    known = manager.providers.get(grant.provider)
    own = known.own_manage_url if known and known.client_id else ""
    return own or "in the settings of the account."
