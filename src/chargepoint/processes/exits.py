"""Exit statuses that mean the same to whoever starts a process of the borne."""

from typing import Final

WRONG_CONFIGURATION: Final = 2
"""A configuration that no other start can help: said by the process that ends, and no crash."""
