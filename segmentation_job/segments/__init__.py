"""Segments as pure functions on arrays: no engine, no clock, no files."""
