"""Metrics in Prometheus's text format: families, instruments, what is read when somebody asks, and the sum over workers.

Nothing is counted twice: what a policy counts anyway is read from its snapshot when the metrics are asked for.
"""
