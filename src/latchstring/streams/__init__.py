"""Shells that carry a stream of bytes over something else. Controller and endpoint use the same."""
