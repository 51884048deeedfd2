"""The embedded tiny model, as data."""
