"""What Amazon's cloud has to be told so that workers find machines there: rendered as files, or applied.

The rules and the arithmetic are pure and live in ``scaling``; here they become documents and calls. Only this
package knows boto3, and only ``apply.py`` in it.
"""
