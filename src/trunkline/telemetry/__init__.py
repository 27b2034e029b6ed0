"""What the server reports about itself: logs, metrics, and the events that feed both.

Every layer of the server may use it; it imports none of them. See docs/design/observability.md.
"""
