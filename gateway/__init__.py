"""The HTTP service: memories in, searches out, events as they happen. Imports schemas, streams and infra."""
