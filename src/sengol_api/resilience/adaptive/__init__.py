"""Adaptive limit: as many calls at once as the latency shows to be good."""
