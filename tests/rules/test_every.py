from __future__ import annotations

import pytest

from tests.kit.every import every


def test_every_offender_is_named_and_no_other() -> None:
    @every("number", {"one": 1, "two": 2, "three": 3})
    def is_even(number: int) -> None:
        assert number % 2 == 0, f"{number} is odd"

    with pytest.raises(AssertionError, match=r"one: 1 is odd(.|\n)*three: 3 is odd") as caught:
        is_even()
    assert "two:" not in str(caught.value)


def test_nothing_to_look_at_is_a_failure() -> None:
    @every("number", {})
    def never(number: int) -> None:
        raise NotImplementedError

    with pytest.raises(AssertionError, match="nothing to look at"):
        never()


@every("number", {"one": 1})
@pytest.mark.parametrize("other", [2, 3])
def test_fixtures_and_parameters_reach_the_test(number: int, other: int) -> None:
    assert number < other
