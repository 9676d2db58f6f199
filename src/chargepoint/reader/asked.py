"""What readers have in common that say nothing unless they are asked."""

POLL_S = 0.2
SILENT_AFTER = 3
"""Missing answers before the reader is called silent."""


class Asked:
    """Asks again and again; every answer, also that there is no card, shows that the reader lives."""

    question: bytes
    answer_s: float
    """How long an answer may take, s."""

    def __init__(self) -> None:
        self.malformed = 0
        self.trouble: str | None = None
        self.away: bool | None = False
        self._empty = False
        self._buffer = b""
        self._due = 0.0
        self._asked = False
        self._missing = 0

    def start(self, now: float) -> bytes:
        self._buffer, self._asked, self._due = b"", True, now + self.answer_s
        return self.question

    def due(self) -> float | None:
        return self._due

    def tick(self, now: float) -> bytes:
        if self._asked:
            self._missing += 1
            if self._missing >= SILENT_AFTER:
                self.trouble = "the reader does not answer"
        return self.start(now)

    def _answered(self, now: float) -> None:
        """A sound answer came: the next question is due in a moment."""
        self.trouble, self._missing = "", 0
        self._asked, self._due = False, now + POLL_S

    def _none(self) -> list[bytes]:
        """The answer says that there is no card."""
        self._empty = True
        return []

    def _one(self, uid: bytes) -> list[bytes]:
        """The answer names a card."""
        self.away, self._empty = self._empty, False
        return [uid]
