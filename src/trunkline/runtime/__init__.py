"""How the process runs: supervised services, fair threads, cancellation, fail points. Knows no part of the product."""
