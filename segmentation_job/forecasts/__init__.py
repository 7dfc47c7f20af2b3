"""What customers will probably do next: pure functions on arrays, knowing no engine, no file and no clock."""
