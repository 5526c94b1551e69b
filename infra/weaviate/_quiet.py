"""Imports weaviate-client quietly: what it warns of and logs concerns its own dependencies, not the user."""

from __future__ import annotations

import logging
import warnings

# Its dependencies warn of their own future on import and force these warnings to be shown. Recording takes
# them whatever filters they put in front.
with warnings.catch_warnings(record=True):
    warnings.simplefilter("always")
    import weaviate  # noqa: F401

# It logs whole objects, vectors and all, for every refusal; each one is raised as an error of ours instead.
logging.getLogger("weaviate-client").setLevel(logging.CRITICAL)
