"""The frameworks are there, or it is said why their examples are not run."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest


@pytest.mark.parametrize("name", ["fastmcp", "langgraph"])
def test_a_framework_is_installed(name: str) -> None:
    if not find_spec(name) and not os.environ.get("REQUIRE_FRAMEWORKS"):
        pytest.skip(f"{name} is not here; `make test-frameworks` installs it")
    assert find_spec(name)
