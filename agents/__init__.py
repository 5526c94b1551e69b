"""The Faust agents and the stages of their pipeline."""
