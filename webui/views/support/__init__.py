"""Views of the support pages."""
