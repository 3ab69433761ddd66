"""Serving: listening sockets, worker processes, and settings that change while it runs."""
