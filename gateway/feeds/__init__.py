"""Live and resumed streams of events, and the one consumer that they live on."""
