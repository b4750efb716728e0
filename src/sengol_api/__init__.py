"""Sengol API: risk and compliance reviews answered from past incidents."""

from importlib.metadata import version

__version__ = version("sengol-api")
