from __future__ import annotations

import pytest

from tests.kit.every import every

NUMBERS = {"one": 1, "two": 2, "three": 3}


def test_every_offender_is_named_and_no_other() -> None:
    @every("number", NUMBERS)
    def is_even(number: int) -> None:
        assert number % 2 == 0, f"{number} is odd"

    with pytest.raises(AssertionError, match=r"one: 1 is odd(.|\n)*three: 3 is odd") as caught:
        is_even()
    assert "two:" not in str(caught.value)


@pytest.mark.anyio
async def test_every_offender_of_a_coroutine_is_named_and_no_other() -> None:
    @every("number", NUMBERS)
    @every("factor", [2, 3])
    async def is_even(number: int, factor: int) -> None:
        assert number * factor % 2 == 0, f"{number} is odd"

    with pytest.raises(AssertionError, match=r"one: 1: 3: 1 is odd(.|\n)*three: 1: 3:") as caught:
        await is_even()
    assert "two:" not in str(caught.value)


def test_a_row_that_fails_otherwise_is_named() -> None:
    @every("number", NUMBERS)
    def divides(number: int) -> None:
        assert 1 / (number - 2)

    with pytest.raises(ZeroDivisionError) as caught:
        divides()
    assert caught.value.__notes__ == ["in the row two"]


def test_a_row_that_does_not_raise_is_named() -> None:
    @every("number", NUMBERS)
    def is_two(number: int) -> None:
        with pytest.raises(ZeroDivisionError):
            assert number / (number - 2)

    with pytest.raises(AssertionError, match=r"one: DID NOT RAISE(.|\n)*three: DID NOT RAISE"):
        is_two()


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
