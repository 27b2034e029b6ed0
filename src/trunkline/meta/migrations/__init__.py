"""How a database got to the schema."""
