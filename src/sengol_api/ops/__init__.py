"""What keeps one process of the service in order: health, draining, background work, steering by hand. Knows no HTTP."""
