"""AWS: Fargate profiles and node groups for workers, rendered as files or applied to an account.

The rules and the arithmetic are pure functions in ``scaling``; this package turns their results into documents and
calls. Only ``apply.py`` uses boto3.
"""
