"""Optional help of a language model: order among equals, wording, and areas at the edge. It decides nothing that is counted."""
