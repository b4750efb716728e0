"""Helpers that the tests of the resilience toolkit share."""
