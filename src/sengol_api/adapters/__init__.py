"""Implementations of the ports, each over one technology."""
