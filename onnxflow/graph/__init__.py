"""Workflows as plain data: nodes, links, order, content keys. Standard library only."""
