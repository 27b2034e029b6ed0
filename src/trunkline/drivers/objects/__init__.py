"""Where objects are kept: one file per kind of place, all of them over ``wrapped``."""
