"""What each command does, grouped by noun; ``cli.command_table`` says where each is."""
