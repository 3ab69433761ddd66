"""Flows: each takes one person's connection from one state to the next."""
