"""Codes of receipts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from webui.oauth_manager.journal.receipts import receipt_code
from webui.oauth_manager.links.readable_codes import CODE_ALPHABET


@given(user=st.text(min_size=1), at=st.floats(0, 4e9))
def test_a_code_is_six_letters_without_look_alikes(user: str, at: float) -> None:
    code = receipt_code(user, "github", at)

    assert len(code) == 6
    assert set(code) <= set(CODE_ALPHABET)
    assert not set(CODE_ALPHABET) & set("01258AEIOULSZ")


def test_a_code_is_the_same_each_time_and_another_for_anything_else() -> None:
    about = ("ann", "github", 1_791_018_840.25)

    codes = {
        receipt_code(*about),
        receipt_code("bob", *about[1:]),
        receipt_code("ann", "google", about[2]),
        receipt_code("ann", "github", about[2] + 0.001),
        receipt_code("ann", "github~work", about[2]),
        receipt_code("anngithub", "", about[2]),
    }

    assert receipt_code(*about) == receipt_code(*about)
    assert len(codes) == 6
