"""Help: pages of commands, topics, the first screen, pachctl's verbs."""
