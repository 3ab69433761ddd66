"""Rendering: from a template to a response, and the static files of pages."""
