"""Rate limit: GCRA, alone or shared between replicas."""
