"""What templates hold of what never changes, and what they still ask for."""

from __future__ import annotations

import pytest
from markupsafe import Markup

from webui.rendering import assets
from webui.rendering.constants import Templates
from webui.text import words

MADE = Templates(autoescape=True)
MADE.globals["t"] = lambda key, **values: Markup("asked")


def drawn(template: str) -> str:
    return MADE.from_string(template).render()


@pytest.mark.parametrize(
    "around", ["{{ %s }}", "{%% if 1 %%}{{ %s }}{%% endif %%}", "{%% set said = %s %%}{{ said }}"]
)
def test_a_sentence_without_names_is_written_in(around: str) -> None:
    said = drawn(around % "t('site.skip')")
    assert said == str(words.markup("site.skip"))


@pytest.mark.parametrize("call", ["t('site.skip', product='X')", "t('site.' ~ 'skip')", "t(key)"])
def test_any_other_sentence_is_asked_for(call: str) -> None:
    assert drawn("{% set key = 'site.skip' %}{{ " + call + " }}") == "asked"


def test_a_sentence_with_a_name_is_asked_for() -> None:
    key = next(key for key, said in words.CATALOGUE.items() if "{bot}" in said)
    assert drawn(f"{{{{ t('{key}') }}}}") == "asked"


def test_the_address_of_a_file_is_written_in() -> None:
    assert drawn("{{ static('app.css') }}") == assets.static_url("app.css")


@pytest.mark.parametrize("call", ["t('no.such.sentence')", "static('no.such.file')"])
def test_an_unknown_one_is_a_fault_at_once(call: str) -> None:
    with pytest.raises(KeyError):
        MADE.from_string("{% if 0 %}{{ " + call + " }}{% endif %}")
