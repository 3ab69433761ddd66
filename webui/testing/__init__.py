"""Connections for a bot's own tests, without Redis and without a network."""

from webui.testing.fake_connections import FakeConnections, TestCaller

__all__ = ["FakeConnections", "TestCaller"]
