"""Controller software of a public two-point AC charging station."""
