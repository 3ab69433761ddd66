"""HTML that is made once: of a finished card or list, and of pieces about no person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from jinja2 import Environment, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from webui.cards import MOST, Card, CardGroup
from webui.rendering.brand import Look

_PIECES = 500  # a kilobyte each
_LISTS = 1_000  # one takes 15 kB, so all of them 15 MB


@dataclass(frozen=True, slots=True)
class _Drawing:
    """A card where it stands; known by its identity: texts and HTML compare as the same."""

    card: Card = field(compare=False)
    card_id: int
    product: str
    bot: str
    look: Look
    is_fragment: bool
    is_news: bool
    leads: bool


def _rendered(environment: Environment, template: str, **values: object) -> Markup:
    html = environment.get_template(template).render(values)
    return Markup(html)  # noqa: S704 -- the template has escaped it


def drawn_by(environment: Environment) -> Callable[..., Markup]:
    """Make the function ``drawn`` of templates: ``card.html``, or for a page of its own
    ``service.html``.

    ``is_news`` and ``leads`` as those templates have them.
    """

    @lru_cache(maxsize=MOST)
    def draw(wanted: _Drawing) -> Markup:
        is_list = wanted.card.where == "list"
        return _rendered(
            environment,
            "card.html" if is_list else "service.html",
            card=wanted.card,
            product=wanted.product,
            bot=wanted.bot,
            look=wanted.look,
            is_fragment=wanted.is_fragment,
            is_news=wanted.is_news,
            leads=wanted.leads,
        )

    @pass_context
    def drawn(
        context: Context, card: Card, *, is_news: bool = False, leads: bool = False
    ) -> Markup:
        names = context["product"], context["bot"], context["look"]
        return draw(_Drawing(card, id(card), *names, context["is_fragment"], is_news, leads))

    return drawn


@dataclass(frozen=True, slots=True)
class _Groups:
    """All cards of a list, in their groups; known by their identities, like a drawing."""

    groups: tuple[CardGroup, ...] = field(compare=False)
    first: Card | None = field(compare=False)
    ids: tuple[tuple[str, tuple[int, ...]], ...]
    first_id: int
    product: str
    bot: str
    look: Look
    leads: str


def grouped_by(environment: Environment) -> Callable[..., Markup]:
    """Make the function ``all_groups`` of templates: ``groups.html``, once for a list.

    ``first`` is the card that stands before them, and ``leads`` names the one that leads.
    """

    @lru_cache(maxsize=_LISTS)
    def draw(wanted: _Groups) -> Markup:
        return _rendered(
            environment,
            "groups.html",
            groups=wanted.groups,
            first=wanted.first,
            leads=wanted.leads,
            product=wanted.product,
            bot=wanted.bot,
            look=wanted.look,
            is_fragment=False,
        )

    @pass_context
    def all_groups(
        context: Context, groups: tuple[CardGroup, ...], first: Card | None, leads: str
    ) -> Markup:
        ids = tuple((group.name, tuple(map(id, group.cards))) for group in groups)
        names = context["product"], context["bot"], context["look"]
        return draw(_Groups(groups, first, ids, id(first), *names, leads))

    return all_groups


def kept_by(environment: Environment) -> Callable[..., Markup]:
    """Make the function ``kept`` of templates: an include of a piece that few values make.

    It sees ``product``, ``bot`` and ``look`` of the context, and the values it is given:
    words of ours, since a text and HTML that look alike are the same to the memory.
    """

    @lru_cache(maxsize=_PIECES)
    def piece(template: str, values: tuple[tuple[str, object], ...]) -> Markup:
        return _rendered(environment, template, **dict(values))

    @pass_context
    def kept(context: Context, template: str, **values: object) -> Markup:
        for name in ("product", "bot", "look"):
            values[name] = context[name]
        return piece(template, tuple(values.items()))

    return kept
