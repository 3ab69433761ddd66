"""ASGI middleware around the whole site."""
