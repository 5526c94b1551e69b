"""What ``agentmem bench`` measures."""
