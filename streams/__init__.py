"""Kafka: topics, producer, the Faust app, windows and commits. Imports the schemas only."""
