"""Controller software of a public two-point AC charging station."""

__version__ = "0.1.0"
