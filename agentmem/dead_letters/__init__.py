"""What ``agentmem dlq`` does with records that were set aside."""
