"""Whole systems for tests: real workers as processes, plain records in, and one oracle for what comes out."""
