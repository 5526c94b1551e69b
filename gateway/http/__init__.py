"""What each call passes: errors, limits, logs, and the shapes on the wire."""
