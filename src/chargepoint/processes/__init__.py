"""Composition roots: each module builds one process out of the rooms. Nothing imports these but the command line."""
