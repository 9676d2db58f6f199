"""Asking the running station, with the reasons why it may not answer."""

from pathlib import Path
from typing import Any

from chargepoint.config import Config
from chargepoint.jsonrpc import RpcError, call

TIMEOUT_S = 10.0


class Silent(Exception):
    """A process does not answer; says why, in a sentence that can be translated."""

    def __init__(self, text: str, **words: object) -> None:
        super().__init__(text.format(**words))
        self.text = text
        self.words = words


class Unreachable(Silent):
    """The station's socket does not answer."""


class Refused(Exception):
    """The station answered that it cannot do it; the text is its sentence."""


class Station:
    """The control socket of the station on this borne."""

    def __init__(self, config: Config) -> None:
        self.path: Path = config.station.run_dir / "station.sock"

    def ask(self, method: str, *, timeout_s: float = TIMEOUT_S, **params: Any) -> Any:
        """One call.

        Raises:
            Unreachable: nobody answers on the socket.
            Refused: the station answered with an error.
        """
        try:
            return call(self.path, method, timeout_s=timeout_s, **params)
        except RpcError as error:
            raise Refused(error.message) from error
        except FileNotFoundError:
            raise Unreachable("there is no {path}", path=self.path) from None
        except ConnectionRefusedError:
            raise Unreachable("nobody listens on {path}", path=self.path) from None
        except PermissionError:
            text = "{path} is open to the group of the service alone: use sudo, or join it"
            raise Unreachable(text, path=self.path) from None
        except TimeoutError:
            raise Unreachable("no answer within {seconds} s", seconds=f"{timeout_s:g}") from None
        except OSError as error:
            raise Unreachable("it cannot be asked: {reason}", reason=error) from error
