"""Data that the package carries: catalogue of risk areas, regimes, vocabulary, own incidents. No code."""
