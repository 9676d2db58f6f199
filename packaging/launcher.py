#!/usr/bin/python3
"""Starts the version it lies in, with that version's own packages."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from chargepoint.console.cli import main  # the line above must come first

sys.exit(main())
