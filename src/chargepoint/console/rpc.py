"""Asking the running station, with the reasons why it may not answer."""

from pathlib import Path
from typing import Any

from chargepoint.config import Config
from chargepoint.jsonrpc import RpcError, call

TIMEOUT_S = 10.0


class Unreachable(Exception):
    """The station's socket does not answer; the text says why and what to do."""


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
            raise Unreachable(f"the station is not running: there is no {self.path}") from None
        except ConnectionRefusedError:
            raise Unreachable(f"the station is not running: nobody listens on {self.path}") from None
        except PermissionError:
            raise Unreachable(f"{self.path} is open to the group of the service alone: use sudo, or join it") from None
        except TimeoutError:
            raise Unreachable(f"the station does not answer within {timeout_s:g} s") from None
        except OSError as error:
            raise Unreachable(f"the station cannot be asked: {error}") from error
