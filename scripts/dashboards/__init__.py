"""Grafana dashboards as code: what their panels ask, and the JSON made of it."""
