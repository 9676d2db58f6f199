"""What a process died of, for whoever tells it to a person."""

import traceback
from pathlib import Path


def told(error: BaseException) -> tuple[str, str]:
    """An error in a line, and the last place of its traceback. Of a group: its first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""
    return f"{type(error).__name__}: {error}"[:300], where
