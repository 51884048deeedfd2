"""The node classes, one module a subject, and the catalog that collects them."""
