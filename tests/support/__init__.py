"""Builders and test doubles that many tests share."""
