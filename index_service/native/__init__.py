"""The backend of one machine: SQLite as store of record, everything that is searched in memory."""
