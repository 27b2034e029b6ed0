"""State in SQL: schema, migrations, one function per query or write."""
