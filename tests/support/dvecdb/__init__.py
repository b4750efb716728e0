"""d-vecDB for tests: the real server's process, and a fake that has its quirks."""
