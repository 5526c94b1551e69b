"""From bodies to requests, to Kafka, and back to the caller that waits."""
