"""The store of record: SQLite in the data directory by default, PostgreSQL for more than one machine."""
