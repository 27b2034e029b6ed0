"""What each command does, grouped by noun; ``cli.table`` says where each is."""
