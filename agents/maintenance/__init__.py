"""What keeps the stores in order beside the stream."""
