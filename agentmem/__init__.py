"""The composition root: settings and the ``agentmem`` command."""

from importlib.metadata import version

__version__ = version("agentmem")
