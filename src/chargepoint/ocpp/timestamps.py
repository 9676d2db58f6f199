"""Times as OCPP writes them: RFC 3339, always sent in UTC with a `Z`, accepted with any fraction and offset."""

from datetime import UTC, datetime

MAX_TEXT = 64
LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""A fraction later there is (many write "never" so), but as a number of seconds it rounds into the year 10000."""


def to_text(at: datetime) -> str:
    """Render an aware time in UTC with milliseconds and a `Z` (errata 3.10)."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_text(text: str) -> datetime:
    """Read a date-time; one without an offset is taken as UTC. Raises ValueError with the text in it."""
    if not isinstance(text, str) or len(text) > MAX_TEXT or "T" not in text.upper():
        raise ValueError(f"{str(text)[:MAX_TEXT]!r} is not a date-time; write it as 2026-01-31T12:00:00Z")
    try:
        at = datetime.fromisoformat(text.strip().upper())
        return min(at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC), LAST)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is not a date-time; write it as 2026-01-31T12:00:00Z") from error
