"""The editor's own format: what it saves, read as data (contract A2 to A8) and turned into the API format."""
