"""The simulated borne's control socket: plugs cars, shows badges, makes faults, and tells what can be measured."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Literal, Protocol

from chargepoint.config import Config
from chargepoint.connectors import DOMESTIC, TYPE_2
from chargepoint.jsonrpc import INVALID_PARAMS, RpcError
from chargepoint.sim.car import Car
from chargepoint.sim.electrics import Borne, Point, PointSetup, Refused, Side
from chargepoint.sim.fault_names import BORNE_FAULTS, POINT_FAULTS
from chargepoint.sim.wiring import Wiring

TIMED_OUT = -32001
"""What `wait` waited for has not come."""

BUSY_TICK_S = 0.002
STEADY_TICK_S = 0.005
IDLE_TICK_S = 0.010
BUSY_FOR_S = 0.3
"""How long the tick stays short after something has happened."""

Cable = Literal[13, 20, 32, 63]
PhaseCount = Literal[1, 3]
Letter = Literal["A", "B", "C", "D", "E", "F"]
Connector = Literal[1, 2]


class Devices(Protocol):
    """The simulated serial devices, as far as this socket moves them."""

    def badge(self, reader: int, uid: bytes) -> None: ...

    def set_fault(self, name: str, evse: int | None, on: bool) -> None: ...


def make_borne(config: Config) -> Borne:
    """The electrical model of the configured borne."""
    setups = [
        PointSetup(
            evse.id,
            evse.phases,
            evse.phase_rotation,
            evse.socket,
            evse.max_current,
            None if evse.domestic is None else evse.domestic.phase,
        )
        for evse in config.evse
    ]
    return Borne(setups, config.supply.voltage)


class SimulatedBorne:
    """The methods of the control socket over one model."""

    def __init__(self, borne: Borne, wiring: Wiring, devices: Devices) -> None:
        self._borne = borne
        self._wiring = wiring
        self._devices = devices
        self._busy_until = 0.0
        self._nudge = asyncio.Event()
        self._ticked = asyncio.Condition()
        self._waiting = 0

    def methods(self) -> dict[str, Callable[..., Any]]:
        names = ("plug", "unplug", "ev", "badge", "fault", "faults", "show", "set_energy", "speed", "wait")
        return {name: getattr(self, name) for name in (*names, "domestic", "bay", "building", "input")}

    async def run(self) -> None:
        """Keep the model in step with time and wires, for ever."""
        while True:
            now = time.monotonic()
            if self._wiring.exchange(now) or self._borne.moving:
                self._busy_until = now + BUSY_FOR_S
            if self._waiting:
                async with self._ticked:
                    self._ticked.notify_all()
            try:
                async with asyncio.timeout(self._tick_s(now)):
                    await self._nudge.wait()
            except TimeoutError:
                continue  # the ordinary end of a tick
            self._nudge.clear()

    # --- the methods, their parameters as in the documentation ----------------------------------------

    def plug(
        self,
        evse: int,
        cable: Cable = 32,
        max_current: float = 32,
        phases: PhaseCount = 3,
        wants_energy: bool = True,
        diode: bool = True,
        ventilation: bool = False,
        connector: Connector = 1,
        load: float = 8.0,
    ) -> dict[str, Any]:
        """`connector` 2: an appliance that draws `load` A into the point's domestic socket, and nothing else counts."""
        point = self._point(evse)
        if connector == DOMESTIC:
            if load < 0:
                raise RpcError(f"load is {load} A; it must not be negative", INVALID_PARAMS)
            self._try(lambda: point.plug_domestic(load))
            return self._after(point)
        if max_current <= 0:
            raise RpcError(f"max_current is {max_current} A; it must be above 0", INVALID_PARAMS)
        car = Car(max_current, phases, wants_energy, diode, ventilation)
        self._try(lambda: point.plug(cable, car))
        return self._after(point)

    async def unplug(
        self, evse: int, side: Side = "socket", force: bool = False, connector: Connector = 1
    ) -> dict[str, Any]:
        point = self._point(evse)
        if connector == DOMESTIC:
            self._try(point.unplug_domestic)
            return self._after(point)
        self._try(lambda: point.unplug(side, force))
        self._happened()
        await self._until(lambda: not point.leaving, 2.0)
        return self._after(point)

    def ev(
        self,
        evse: int,
        wants_energy: bool | None = None,
        max_current: float | None = None,
        phases: PhaseCount | None = None,
        ventilation: bool | None = None,
        diode: bool | None = None,
        load: float | None = None,
    ) -> dict[str, Any]:
        """`load`: what the appliance in the domestic socket draws from now on, A."""
        point = self._point(evse)
        if load is not None:
            if load < 0:
                raise RpcError(f"load is {load} A; it must not be negative", INVALID_PARAMS)
            if point.domestic_current_a is None:
                raise RpcError(f"point {evse}: nothing is plugged into the domestic socket")
            point.domestic_current_a = load
            return self._after(point)
        car = point.car
        if car is None:
            raise RpcError(f"point {evse}: no car is plugged")
        if max_current is not None and max_current <= 0:
            raise RpcError(f"max_current is {max_current} A; it must be above 0", INVALID_PARAMS)
        car.wants_energy = car.wants_energy if wants_energy is None else wants_energy
        car.max_current = car.max_current if max_current is None else max_current
        car.phases = car.phases if phases is None else phases
        car.ventilation = car.ventilation if ventilation is None else ventilation
        car.diode = car.diode if diode is None else diode
        return self._after(point)

    def badge(self, uid: str, reader: int = 1) -> bool:
        try:
            number = bytes.fromhex(uid.replace(":", ""))
        except ValueError:
            number = b""
        if not number:
            raise RpcError(f"uid {uid!r} is not hexadecimal, two digits a byte", INVALID_PARAMS)
        self._devices.badge(reader, number)
        return True

    def fault(self, name: str, evse: int | None = None, on: bool = True) -> dict[str, float]:
        """Answers when it took effect, s of CLOCK_MONOTONIC: for measuring reactions."""
        if name in POINT_FAULTS:
            if evse is None:
                raise RpcError(f"fault {name!r} is a point's: say which, evse", INVALID_PARAMS)
            self._point(evse).set_fault(name, on)
        elif name in BORNE_FAULTS:
            if evse is not None:
                raise RpcError(f"fault {name!r} is the whole borne's: leave out evse", INVALID_PARAMS)
            (self._borne.faults.add if on else self._borne.faults.discard)(name)
        else:
            raise RpcError(f"there is no fault {name!r}; `faults` lists them", INVALID_PARAMS)
        self._devices.set_fault(name, evse, on)
        return {"at": self._happened()}

    def faults(self) -> list[dict[str, Any]]:
        rows = [(name, True, text) for name, text in POINT_FAULTS.items()]
        rows += [(name, False, text) for name, text in BORNE_FAULTS.items()]
        return [{"name": name, "per_evse": per_evse, "text": text} for name, per_evse, text in rows]

    def show(self) -> dict[str, Any]:
        borne = self._borne
        self._wiring.exchange(time.monotonic())
        return {
            "evses": [self._show(point) for point in borne.points.values()],
            "faults": sorted(borne.faults),
            "emergency_stop": borne.emergency_stop,
            "door_open": borne.door_open,
            "coil_watchdog": borne.coils_armed,
            "inputs": list(borne.grid_closed),
            "buzzer": {"sounding": self._wiring.sounds, "tones": self._wiring.tones},
            "speed": borne.speed,
            "grid": self._grid(),
        }

    def set_energy(self, evse: int, wh: float) -> dict[str, Any]:
        if wh < 0:
            raise RpcError(f"wh is {wh}; a register is never negative", INVALID_PARAMS)
        point = self._point(evse)
        point.energy_wh = wh
        return self._after(point)

    def speed(self, factor: float = 1) -> float:
        if not 0 <= factor <= 100_000:
            raise RpcError(f"factor {factor} is not within 0..100000", INVALID_PARAMS)
        self._happened()
        self._borne.speed = factor
        return factor

    async def wait(
        self,
        evse: int,
        state: Letter | None = None,
        contactor: bool | None = None,
        plugged: bool | None = None,
        timeout: float = 30,  # noqa: ASYNC109  # the documented parameter's name
        connector: Connector = 1,
    ) -> dict[str, Any]:
        """`connector`: whose `contactor` and `plugged` are meant."""
        point = self._point(evse)
        made = point.contactor if connector == TYPE_2 else point.domestic_contactor
        if state is None and contactor is None and plugged is None:
            raise RpcError("say what to wait for: state, contactor or plugged", INVALID_PARAMS)

        def holds() -> bool:
            return (
                (state is None or point.state == state)
                and (contactor is None or made.closed is contactor)
                and (plugged is None or self._plugged(point, connector) is plugged)
            )

        if not await self._until(holds, timeout):
            wanted = {"state": state, "contactor": contactor, "plugged": plugged}
            words = ", ".join(f"{name} {value}" for name, value in wanted.items() if value is not None)
            contacts = "closed" if made.closed else "open"
            plug = "plugged" if self._plugged(point, connector) else "unplugged"
            raise RpcError(
                f"point {evse}: no {words} within {timeout:g} s; it is in state {point.state}, contactor {contacts}, "
                f"{plug}",
                TIMED_OUT,
            )
        return self._show(point)

    def domestic(self, evse: int, plugged: bool = True, current: float = 8.0) -> dict[str, Any]:
        """The same as `plug` and `unplug` with connector 2, whatever was there before."""
        point = self._point(evse)
        if current < 0:
            raise RpcError(f"current is {current} A; it must not be negative", INVALID_PARAMS)
        if point.domestic_current_a is not None:
            self._try(point.unplug_domestic)
        if plugged:
            self._try(lambda: point.plug_domestic(current))
        return self._after(point)

    def bay(self, evse: int, occupied: bool = True) -> dict[str, Any]:
        point = self._point(evse)
        point.bay_occupied = occupied
        return self._after(point)

    def building(
        self, current: tuple[float, float, float] | None = None, subscribed_kva: int | None = None
    ) -> dict[str, Any]:
        if current is not None:
            self._borne.building_a = current
        if subscribed_kva is not None:
            if not 1 <= subscribed_kva <= 250:
                raise RpcError(f"subscribed_kva is {subscribed_kva}; it must be 1 to 250", INVALID_PARAMS)
            self._borne.subscribed_kva = subscribed_kva
        self._happened()
        return self._grid()

    def input(self, number: int = 1, closed: bool = True) -> list[bool]:
        """The grid operator's contact; open is also what a broken wire looks like."""
        if number not in (1, 2):
            raise RpcError(f"there is no input {number}; there are 1 and 2", INVALID_PARAMS)
        first, second = self._borne.grid_closed
        self._borne.grid_closed = (closed, second) if number == 1 else (first, closed)
        self._happened()
        return list(self._borne.grid_closed)

    # ---------------------------------------------------------------------------------------------------

    def _grid(self) -> dict[str, Any]:
        borne = self._borne
        return {
            "building": list(borne.building_a),
            "current": [round(amps, 2) for amps in borne.grid_current_a],
            "subscribed_kva": borne.subscribed_kva,
        }

    def _point(self, evse: int) -> Point:
        point = self._borne.points.get(evse)
        if point is None:
            there = ", ".join(str(number) for number in self._borne.points)
            raise RpcError(f"there is no point {evse}; there are {there}", INVALID_PARAMS)
        return point

    @staticmethod
    def _try(action: Callable[[], None]) -> None:
        try:
            action()
        except Refused as error:
            raise RpcError(str(error)) from error

    @staticmethod
    def _plugged(point: Point, connector: int = TYPE_2) -> bool:
        if connector == DOMESTIC:
            return point.domestic_current_a is not None
        return point.cable is not None or (not point.setup.socket and point.car is not None)

    def _show(self, point: Point) -> dict[str, Any]:
        car = point.car
        return {
            "id": point.setup.id,
            "plugged": self._plugged(point),
            "cable": point.cable,
            "car": None
            if car is None
            else {"wants_energy": car.wants_energy, "max_current": car.max_current, "phases": car.phases},
            "cp_high": round(point.high.value, 2),
            "cp_low": round(point.low.value, 2),
            "duty": round(point.generator_duty, 2),
            "state": point.state,
            "contactor": {"commanded": point.commands.contactor, "real": point.contactor.closed},
            "locked": point.lock.holds,
            "domestic": self._show_domestic(point),
            "current": [round(amps, 2) for amps in point.supply_current_a],
            "power": round(point.power_w, 1),
            "energy": point.register_wh,
            "temperature": round(point.temperature_c, 1),
            "lamps": self._wiring.lamps(point.setup.id),
            "faults": sorted(point.faults),
        }

    @staticmethod
    def _show_domestic(point: Point) -> dict[str, Any] | None:
        """Connector 2; None where there is none."""
        phase = point.setup.domestic_phase
        if phase is None:
            return None
        made = point.domestic_contactor
        return {
            "plugged": point.domestic_current_a is not None,
            "load": point.domestic_current_a,
            "phase": phase,
            "contactor": {"commanded": point.commands.domestic_contactor, "real": made.closed},
        }

    def _after(self, point: Point) -> dict[str, Any]:
        self._happened()
        return self._show(point)

    def _happened(self) -> float:
        """Something was done to the model: let the wires show it now, and look closely for a while. Answers when."""
        now = time.monotonic()
        self._busy_until = now + BUSY_FOR_S
        self._wiring.exchange(now)
        self._nudge.set()
        return now

    async def _until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Whether the condition came true in time; looked at after every tick."""
        self._waiting += 1
        try:
            async with asyncio.timeout(timeout_s), self._ticked:
                await self._ticked.wait_for(holds)
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return True

    def _tick_s(self, now: float) -> float:
        if now < self._busy_until:
            return BUSY_TICK_S
        plugged = any(point.car is not None for point in self._borne.points.values())
        return STEADY_TICK_S if plugged else IDLE_TICK_S
