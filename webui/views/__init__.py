"""Views: one function a route, as ``webui/routes.py`` has them."""
