"""Signed bundles, and versions installed side by side with a way back."""
