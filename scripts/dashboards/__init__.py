"""Grafana dashboards as code: what panels ask, the JSON made of it, and a picture of a real run."""
