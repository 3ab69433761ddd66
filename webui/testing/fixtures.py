"""Fixtures for pytest: ``pytest_plugins = ["webui.testing.fixtures"]`` in a ``conftest.py``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from webui.testing.fake_connections import FakeConnections


@pytest.fixture
def connections() -> Iterator[FakeConnections]:
    """Nobody is connected yet; the manager of the process is this one's for one test."""
    with FakeConnections() as made:
        yield made
