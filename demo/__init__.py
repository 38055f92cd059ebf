"""The demo: sample photos, training, services and one query, end to end."""
