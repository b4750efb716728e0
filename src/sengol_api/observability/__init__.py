"""Logs. Metrics and traces will stand beside them."""
