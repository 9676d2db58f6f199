"""Who comes to a point in a fault campaign: a car at the Type 2 socket, or something in the domestic one."""

import random
from typing import Protocol

from injected_borne import InjectedBorne

from chargepoint.sim.car import Car
from chargepoint.sim.electrics import Refused

FLOWS_A = 1.0
DOMESTIC_CONNECTOR = 3
"""connectorId of the domestic socket, which is point 1's."""
DOMESTIC_A, TOO_MUCH_A = 10.0, 18.0


class Visit(Protocol):
    """One at a time at a point."""

    connector: int
    """connectorId."""

    def plug(self) -> None:
        """Raises `Refused`."""

    @property
    def drawing(self) -> bool: ...

    @property
    def gone(self) -> bool: ...

    def pull(self, gently: bool, force: bool = False) -> None:
        """Take the plug off, as far as it lets itself be taken; `gently`: not in mid-charge. Raises `Refused`."""

    def full(self) -> None:
        """It wants no more."""


class CarVisit:
    """A car with its cable."""

    def __init__(self, borne: InjectedBorne, evse: int, dice: random.Random) -> None:
        self.connector = evse
        self._point = borne.electrics.points[evse]
        self._car = Car(dice.choice((16.0, 32.0)), dice.choice((1, 3)))

    def plug(self) -> None:
        self._point.plug(32, self._car)

    @property
    def drawing(self) -> bool:
        return self._point.current_a[0] > FLOWS_A

    @property
    def gone(self) -> bool:
        return self._point.cable is None and self._point.car is None

    def pull(self, gently: bool, force: bool = False) -> None:
        side = "socket" if force or gently or self._point.car is None else "car"
        self._point.unplug(side, force)  # type: ignore[arg-type]

    def full(self) -> None:
        if self._point.car is not None:
            self._point.car.wants_energy = False


class DomesticVisit:
    """A scooter's charger, say: it draws when there is voltage, and nothing holds its plug."""

    def __init__(self, borne: InjectedBorne, evse: int, dice: random.Random) -> None:
        self.connector = DOMESTIC_CONNECTOR
        self._point = borne.electrics.points[evse]
        self._load_a = dice.uniform(4.0, DOMESTIC_A)

    def plug(self) -> None:
        over = "over-current" in self._point.faults
        self._point.plug_domestic(TOO_MUCH_A if over else self._load_a)

    @property
    def drawing(self) -> bool:
        return self._point.domestic_contactor.closed and max(self._point.current_a) > FLOWS_A

    @property
    def gone(self) -> bool:
        return self._point.domestic_current_a is None

    def pull(self, gently: bool, force: bool = False) -> None:
        if gently and self._point.domestic_contactor.closed:
            raise Refused("it still draws")
        self._point.unplug_domestic()

    def full(self) -> None:
        if self._point.domestic_current_a is not None:
            self._point.domestic_current_a = 0.0
