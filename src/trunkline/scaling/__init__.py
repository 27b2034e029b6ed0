"""How many workers: pure decisions, without input or output."""
