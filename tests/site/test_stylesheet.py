"""Contrast is computed from the stylesheet's own tokens, so no colour change slips by."""

from __future__ import annotations

import gzip
import re

import pytest

from webui.rendering.assets import folder

CSS = (folder("static") / "app.css").read_text("utf-8")
_TOKENS = re.compile(r"--([a-z-]+): (#[0-9A-F]{6});")
_LIGHT, _, _REST = CSS.partition("@media (prefers-color-scheme: dark)")
LIGHT = dict(_TOKENS.findall(_LIGHT))
DARK = LIGHT | dict(_TOKENS.findall(_REST))
THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])

STATES = ("ok", "warn", "bad")
SURFACES = ("canvas", "surface", "sunken")
TINTS = tuple(f"{state}-tint" for state in STATES)
# Both lie on the operator's own colour, which is the same in either scheme.
_OF_THE_BRAND = {"accent", "on-brand"}


def _luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def ratio(one: str, other: str) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_both_schemes_set_every_colour_but_the_brands_own() -> None:
    assert dict(_TOKENS.findall(_REST)).keys() == LIGHT.keys() - _OF_THE_BRAND


def test_the_ratio_is_the_one_of_wcag() -> None:
    assert ratio("#000000", "#FFFFFF") == pytest.approx(21)
    assert ratio("#767676", "#FFFFFF") == pytest.approx(4.54, abs=0.01)


@THEMES
@pytest.mark.parametrize("behind", [*SURFACES, *TINTS, "accent-soft"])
def test_text_is_readable_on_everything(theme: dict[str, str], behind: str) -> None:
    assert ratio(theme["text"], theme[behind]) >= 11
    assert ratio(theme["accent-ink"], theme[behind]) >= 6


@THEMES
@pytest.mark.parametrize("behind", [*SURFACES, *TINTS])
def test_the_edges_of_controls_are_seen(theme: dict[str, str], behind: str) -> None:
    assert ratio(theme["edge"], theme[behind]) >= 3


@THEMES
@pytest.mark.parametrize(
    ("behind", "least"), [*((surface, 7) for surface in (*SURFACES, *TINTS)), ("accent-soft", 6.7)]
)
def test_secondary_text_is_readable(theme: dict[str, str], behind: str, least: float) -> None:
    assert ratio(theme["muted"], theme[behind]) >= least


@THEMES
@pytest.mark.parametrize("state", STATES)
def test_the_words_of_a_state_are_readable_on_their_tint_and_on_a_surface(
    theme: dict[str, str], state: str
) -> None:
    for behind in (f"{state}-tint", "surface"):
        assert ratio(theme[state], theme[behind]) >= 6


@THEMES
def test_the_icon_on_a_line_stands_out_from_its_colour(theme: dict[str, str]) -> None:
    for state in (*STATES, "accent-ink", "muted"):
        assert ratio(theme["surface"], theme[state]) >= 4.5


@THEMES
def test_button_labels_are_readable(theme: dict[str, str]) -> None:
    for behind in ("accent-fill", "accent-over"):
        assert ratio(theme["on-accent"], theme[behind]) >= 4.5
    assert ratio(theme["on-brand"], theme["accent"]) >= 4.5
    assert "background: var(--bad); color: var(--surface)" in CSS
    assert ratio(theme["surface"], theme["bad"]) >= 4.5


@THEMES
@pytest.mark.parametrize("behind", [*SURFACES, *TINTS, "accent-soft"])
def test_the_focus_ring_is_seen_in_its_gap(theme: dict[str, str], behind: str) -> None:
    assert ratio(theme["accent-ink"], theme[behind]) >= 3
    assert "outline: 3px solid var(--accent-ink); outline-offset: 2px" in CSS


def test_colours_outside_the_tokens_are_those_of_the_white_tile() -> None:
    used = re.findall(r"#[0-9A-Fa-f]{3,8}\b(?!-)", re.sub(_TOKENS, "", CSS))
    assert used == ["#FFFFFF", "#171A1E"]
    assert ratio(*used) >= 11


def test_every_token_that_is_used_exists_and_the_other_way_round() -> None:
    known = set(re.findall(r"--([a-z0-9-]+):", CSS))
    assert set(re.findall(r"var\(--([a-z0-9-]+)\)", CSS)) == known


def test_nothing_is_fetched_from_elsewhere() -> None:
    assert "url(" not in CSS
    assert "@import" not in CSS


def test_the_stylesheet_stays_small() -> None:
    rules = re.sub(r"/\*.*?\*/\n*", "", CSS, flags=re.DOTALL)
    assert len(rules.encode()) <= 20 * 1024
    assert len(gzip.compress(CSS.encode())) < 5800


def test_what_may_be_selected_is_said_to_webkit_too() -> None:
    said = re.findall(r"(-webkit-)?user-select: (\w+);", CSS)
    values = [value for _, value in said]
    assert [prefix for prefix, _ in said] == ["-webkit-", ""] * (len(said) // 2)
    assert values[::2] == values[1::2]
    assert set(values) <= {"all", "none"}
