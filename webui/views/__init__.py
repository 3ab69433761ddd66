"""Views: one function a route."""
