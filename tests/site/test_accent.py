"""The operator's colour: its arithmetic, what falls short, and the colour that is suggested."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tests.kit.every import every
from webui.oauth_manager.configuration import Malformed
from webui.rendering.assets import folder
from webui.settings.accent import (
    DARK,
    LIGHT,
    SCHEMES,
    Scheme,
    nearest,
    product_colour,
    shortfalls,
    stylesheet,
    tokens,
)
from webui.settings.colours import at_lightness, contrast, lightness, mixed, oklab

CSS = (folder("static") / "app.css").read_text("utf-8")
HOUSE = "#0F5468"
COLOURS = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06X}")
PALE = ["#FFD500", "#FFFFFF", "#00FF00", "#F97316"]
_TOKENS = re.compile(r"--([a-z-]+): (#[0-9A-F]{6});")


def in_css(scheme: Scheme) -> dict[str, str]:
    light, _, dark = CSS.partition("@media (prefers-color-scheme: dark)")
    return dict(_TOKENS.findall(light if scheme is LIGHT else dark))


class TestColours:
    @every(
        ("colour", "expected"),
        [
            ("#FFFFFF", (1.0, 0.0, 0.0)),
            ("#000000", (0.0, 0.0, 0.0)),
            ("#FF0000", (0.62796, 0.22486, 0.12585)),
            ("#00FF00", (0.86644, -0.23389, 0.17950)),
            ("#0000FF", (0.45201, -0.03246, -0.31153)),
        ],
    )
    def test_oklab_has_the_values_that_are_published(
        self, colour: str, expected: tuple[float, float, float]
    ) -> None:
        assert oklab(colour) == pytest.approx(expected, abs=2e-4)

    def test_the_contrast_is_the_one_of_wcag(self) -> None:
        assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
        assert contrast("#767676", "#FFFFFF") == pytest.approx(4.54, abs=0.01)

    @given(COLOURS)
    def test_a_colour_at_its_own_lightness_is_itself(self, colour: str) -> None:
        assert at_lightness(colour, lightness(colour)) == colour
        assert mixed(colour, "#123456", 1.0) == colour
        assert mixed("#123456", colour, 0.0) == colour

    @given(COLOURS, st.floats(0.1, 1.0))  # below, eight bits are too coarse
    def test_another_lightness_is_reached_inside_srgb_with_no_more_chroma(
        self, colour: str, wanted: float
    ) -> None:
        _, a, b = oklab(colour)
        found, new_a, new_b = oklab(at_lightness(colour, wanted))
        assert found == pytest.approx(wanted, abs=0.02)
        assert (new_a**2 + new_b**2) ** 0.5 <= (a**2 + b**2) ** 0.5 + 0.03


class TestTokens:
    @every("scheme", SCHEMES)
    def test_the_grounds_are_those_of_the_stylesheet(self, scheme: Scheme) -> None:
        found = in_css(scheme)
        assert {name: found[name] for name in scheme.tokens} == scheme.tokens

    def test_the_rules_are_those_of_the_stylesheet(self) -> None:
        _, _, rules = CSS.partition("@supports (color: oklch(from red l c h))")
        light, _, dark = rules.partition("@media (prefers-color-scheme: dark)")
        for scheme, text, sign in ((LIGHT, light, "-"), (DARK, dark, "+")):
            least, most = scheme.ink
            bound = f"min(l, {most:.2g})" if scheme is LIGHT else f"max(l, {least:.2g})"
            assert f"calc(l {sign} {abs(scheme.over):.2g})".replace("0.", ".") in text
            assert f"--accent-ink: oklch(from var(--accent) {bound} c h)".replace("0.", ".") in text
            assert f"{scheme.soft:.0%}, var(--surface))" in text
        assert f"max(l, {DARK.least_fill:g})".replace("0.", ".") in dark

    @every("scheme", SCHEMES)
    def test_every_token_that_follows_from_the_accent_is_set(self, scheme: Scheme) -> None:
        named = {name for name in in_css(LIGHT) if "accent" in name or "brand" in name}
        assert tokens(HOUSE, scheme).keys() == named

    @every("scheme", SCHEMES)
    def test_the_usual_colour_gives_what_the_stylesheet_has_for_older_browsers(
        self, scheme: Scheme
    ) -> None:
        written = in_css(scheme)
        for name, colour in tokens(HOUSE, scheme).items():
            if name in written:
                assert oklab(colour) == pytest.approx(oklab(written[name]), abs=0.035), name

    def test_the_stylesheet_sets_them_for_both_schemes(self) -> None:
        text = stylesheet("#5B2A86")
        light, _, dark = text.partition("@media (prefers-color-scheme: dark)")
        assert dict(_TOKENS.findall(light)) == tokens("#5B2A86", LIGHT)
        assert dict(_TOKENS.findall(dark)) == tokens("#5B2A86", DARK)
        assert text.count("{") == text.count("}")


class TestWhatIsTaken:
    def test_the_usual_colour_falls_short_in_nothing(self) -> None:
        assert list(shortfalls(HOUSE)) == []

    @examples(deadline=None)
    @given(COLOURS)
    def test_a_colour_passes_every_contrast_or_the_one_suggested_does(self, colour: str) -> None:
        try:
            taken = product_colour(colour)
        except Malformed as fault:
            (suggested,) = re.findall("#[0-9A-F]{6}$", str(fault))
            taken = product_colour(suggested)
        for scheme in SCHEMES:
            found = {**scheme.tokens, **tokens(taken, scheme)}
            for ground in ("canvas", "surface", "sunken", "accent-soft"):
                assert contrast(found["accent-ink"], found[ground]) >= 4.5
            for ground in ("canvas", "surface"):
                assert contrast(found["accent-fill"], found[ground]) >= 3
            assert contrast(found["on-accent"], found["accent-fill"]) >= 4.5
            assert contrast(found["on-accent"], found["accent-over"]) >= 4.5
            assert contrast(found["on-brand"], found["accent"]) >= 4.5
            assert contrast(found["muted"], found["accent-soft"]) >= 4.5

    @every("colour", PALE)
    def test_what_is_too_pale_is_told_with_its_contrast_and_a_darker_one_of_its_hue(
        self, colour: str
    ) -> None:
        with pytest.raises(Malformed) as caught:
            product_colour(colour)
        said = str(caught.value)
        assert re.search(
            r"in the light scheme, a button on the page would have a contrast of "
            r"[12]\.\d\d to 1 and needs 3",
            said,
        )
        assert said.endswith(f"would do is {nearest(colour)}")
        assert lightness(nearest(colour)) < lightness(colour)
        assert colour not in said

    def test_no_nearer_colour_would_do(self) -> None:
        own, found = lightness("#FFD500"), lightness(nearest("#FFD500"))
        steps = int((own - found) / 0.01)
        assert all(any(shortfalls(at_lightness("#FFD500", own - i / 100))) for i in range(steps))

    def test_a_colour_is_known_in_upper_case(self) -> None:
        assert product_colour("#0f5468") == HOUSE

    @every(
        "text", ["0F5468", "#0F5", "#0F54680", "teal", "rgb(1, 2, 3)", "#0F546G", "#\u0660F5468"]
    )
    def test_anything_but_six_digits_is_told_what_to_write(self, text: str) -> None:
        with pytest.raises(Malformed, match="must be a # and six hexadecimal digits"):
            product_colour(text)
