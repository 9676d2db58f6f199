"""The technician's console: a line of text in, a few lines out, on whatever terminal there is."""

import cmd
from typing import Any

from chargepoint.config import Config
from chargepoint.console.rpc import Refused, Station, Unreachable
from chargepoint.console.status import screen
from chargepoint.text import clean


class Console(cmd.Cmd):
    """One session at the borne."""

    prompt = "borne> "

    def __init__(self, config: Config) -> None:
        super().__init__()
        self._config = config
        self._station = Station(config)
        self.intro = f"{clean(config.station.id)}: type help for the commands, quit to leave"

    def emptyline(self) -> bool:
        """An empty line repeats nothing."""
        return False

    def do_status(self, _: str) -> None:
        """status: every point, who limits it, faults, backend, queue and clock"""
        status = self._ask("status")
        if status is not None:
            print("\n".join(screen(status)))

    def do_why(self, line: str) -> None:
        """why EVSE: why this point is, or is not, charging"""
        if not line.strip().isdecimal():
            print("why which point? why 1")
            return
        sentence = self._ask("why", evse=int(line), lang=self._config.station.language)
        if sentence is not None:
            print(clean(sentence, 1000))

    def do_quit(self, _: str) -> bool:
        """quit: leave the console"""
        return True

    def _ask(self, method: str, **params: Any) -> Any:
        """The station's answer, or None once it has been said why there is none."""
        try:
            return self._station.ask(method, **params)
        except (Unreachable, Refused) as error:
            print(clean(error))
            return None


def run(config: Config) -> int:
    """Read commands until `quit` or the end of the input."""
    Console(config).cmdloop()
    return 0
