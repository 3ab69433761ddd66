"""Metrics: what the site counts and measures, and the two ways out, Prometheus and OTLP."""
