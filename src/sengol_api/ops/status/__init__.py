"""What the status page shows: what each worker says of itself, and all of them as one host, sampled while somebody looks."""
