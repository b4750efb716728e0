"""Valkey (or Redis): the shared tier of the caches, the shared rate limits, and word between the replicas' circuit breakers."""
