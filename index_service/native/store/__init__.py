"""The store of record: one SQLite database."""
