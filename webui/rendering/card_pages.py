"""Cards as HTML, each drawn once for a place: the finished card is frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from jinja2 import Environment, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from webui.cards import MOST, Card


@dataclass(frozen=True, slots=True)
class _Drawing:
    """A card where it stands; known by its identity: texts and HTML compare as the same."""

    card: Card = field(compare=False)
    card_id: int
    product: str
    bot: str
    is_fragment: bool
    is_news: bool


def drawn_by(environment: Environment) -> Callable[..., Markup]:
    """Make the function ``drawn`` of templates, in the place of an include of ``card.html``.

    ``is_news`` as that template has it.
    """

    @lru_cache(maxsize=MOST)
    def draw(wanted: _Drawing) -> Markup:
        template = environment.get_template("card.html")
        html = template.render(
            card=wanted.card,
            product=wanted.product,
            bot=wanted.bot,
            is_fragment=wanted.is_fragment,
            is_news=wanted.is_news,
        )
        return Markup(html)  # noqa: S704 -- the template has escaped it

    @pass_context
    def drawn(context: Context, card: Card, *, is_news: bool = False) -> Markup:
        names = context["product"], context["bot"]
        return draw(_Drawing(card, id(card), *names, context["is_fragment"], is_news))

    return drawn
