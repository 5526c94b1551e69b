"""From bodies to queries, and from queries to hits."""
