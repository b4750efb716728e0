"""The operations by noun. Each handler is a few lines: wire to domain, use case, domain to wire."""
