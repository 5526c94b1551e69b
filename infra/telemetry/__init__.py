"""What AgentMem tells about itself: metrics, logs and traces."""
