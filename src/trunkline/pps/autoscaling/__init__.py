"""How many workers a pipeline has: a pure step (``step``), its instructions, and the loop that applies them."""
