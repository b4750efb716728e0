"""The domain: reviews, risk areas, incidents, weights, score. Pure functions and the ports that they need."""
