"""``agentmem doctor``: one small file for each part of the system that can be ill."""
