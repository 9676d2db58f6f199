"""Waiting that shows it is alive: a loop that has nothing to do is told from one that is stuck."""

import asyncio
import contextlib
import math
from typing import Final

LOOK_S: Final = 5.0
"""However long there is nothing to do, a loop shows so often that it lives."""
ANSWER_TIMEOUT_MAX_S: Final = 120
"""The longest MessageTimeout: what keeps a call waiting longer keeps all the others waiting as well."""
CALLERS: Final = 10
"""So many may want to call at once, and one CALL is under way at a time: outbox, statuses, heartbeat, two kinds of
reports, key figures, loose messages, the certificate's renewal, a badge at either point."""
SLACK_S: Final = 20.0


def longest_call_s(timeout_s: float) -> int:
    """Seconds after which a call has its answer or has been given up, with all the others before it in the queue.

    `timeout_s`: MessageTimeout. The one that is under way may have begun under a longer one.
    """
    return round(ANSWER_TIMEOUT_MAX_S + (CALLERS - 1) * timeout_s + SLACK_S)


class Lookout:
    """One loop's waiting place. `turns` goes up at least every `LOOK_S` while the loop waits here, and when it says."""

    def __init__(self) -> None:
        self.turns = 0

    async def wait(self, event: asyncio.Event, within_s: float = math.inf) -> None:
        """Wait for the event, but no longer than that."""
        loop = asyncio.get_running_loop()
        end = loop.time() + within_s
        while not event.is_set() and (left := end - loop.time()) > 0:
            self.turns += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, LOOK_S)):
                    await event.wait()
        self.turns += 1
