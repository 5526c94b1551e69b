"""Property tests have no deadline for one example: on a busy machine it would fail for nothing."""

from hypothesis import settings

settings.register_profile("agentmem", deadline=None)
settings.load_profile("agentmem")
