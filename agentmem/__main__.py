"""``python -m agentmem``."""

from agentmem.cli import main

main()
