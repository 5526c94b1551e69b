"""Importing files of JSON lines: read, checked whole, published, and followed until all is searchable."""
