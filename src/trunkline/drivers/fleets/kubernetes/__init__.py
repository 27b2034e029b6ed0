"""The Kubernetes fleet: workers are pods. Pure parts render, explain and read; ``fleet`` does."""
