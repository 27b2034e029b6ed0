"""Object stores: one module per kind, all on top of ``obstore_base``."""
