"""What a run for an as-of date does, step by step."""
