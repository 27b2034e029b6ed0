"""``trunkline top`` on a terminal, by Textual."""
