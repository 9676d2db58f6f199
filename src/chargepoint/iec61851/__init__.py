"""IEC 61851-1 as tables and pure functions. No I/O, no clock, nothing of ours imported."""
