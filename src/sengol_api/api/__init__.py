"""The HTTP face: declared operations, wire shapes, errors, the OpenAPI document."""
