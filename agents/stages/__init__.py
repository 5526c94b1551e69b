"""The stages of the pipeline, a file each, in the order of ``agents.pipeline``."""
