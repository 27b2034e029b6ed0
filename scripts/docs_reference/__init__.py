"""Makes the parts of the handbook that follow from the code: pages and tables below ``docs/`` (``scripts/docs``).

Nothing here is in the wheel.
"""
