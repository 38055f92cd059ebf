"""The backend of one machine: SQLite as store of record, all that is searched in memory."""
