"""Saved workflows that run as they are, as data."""
