"""Rendering: from a template to a response, and the files pages are made of."""
