"""What a frame of the TIC means: currents, powers, subscribed power, overload notice, tariff. Pure."""

from dataclasses import dataclass

from chargepoint.tic.frames import Frame, Mode

Trio = tuple[float | None, float | None, float | None]
"""L1..L3; a single-phase meter fills L1 alone."""

NOMINAL_V = 230.0
SUBSCRIPTION_V = 200.0
"""ISOUSC is told at this voltage: 45 A are 9 kVA, and 60 A on three phases 36 kVA (Tasmota's teleinfo by N. Bernaerts,
GammaTroniques TICMeter; contracts of 30, 45 and 60 A are 6, 9 and 12 kVA)."""


@dataclass(frozen=True, slots=True)
class StatusRegister:
    """STGE, 32 bits (NOI-CPT_54E, 6.2.3.14)."""

    raw: int

    def _bits(self, low: int, high: int) -> int:
        return (self.raw >> low) & ((1 << (high - low + 1)) - 1)

    @property
    def dry_contact_open(self) -> bool:
        return bool(self._bits(0, 0))

    @property
    def breaker(self) -> int:
        """0 closed, 1 over-power, 2 over-voltage, 3 shedding, 4 order, 5 over-heat above Imax, 6 over-heat below it."""
        return self._bits(1, 3)

    @property
    def cover_open(self) -> bool:
        return bool(self._bits(4, 4))

    @property
    def over_voltage(self) -> bool:
        return bool(self._bits(6, 6))

    @property
    def over_power(self) -> bool:
        """The reference power is exceeded."""
        return bool(self._bits(7, 7))

    @property
    def producer(self) -> bool:
        return bool(self._bits(8, 8))

    @property
    def injecting(self) -> bool:
        return bool(self._bits(9, 9))

    @property
    def supplier_tariff(self) -> int:
        """Index of the supplier's running tariff, 1..10."""
        return self._bits(10, 13) + 1

    @property
    def distributor_tariff(self) -> int:
        """Index of the distributor's running tariff, 1..4."""
        return self._bits(14, 15) + 1

    @property
    def clock_degraded(self) -> bool:
        return bool(self._bits(16, 16))

    @property
    def standard_mode(self) -> bool:
        return bool(self._bits(17, 17))

    @property
    def tempo_today(self) -> int:
        """0 none announced, 1 blue, 2 white, 3 red."""
        return self._bits(24, 25)

    @property
    def tempo_tomorrow(self) -> int:
        return self._bits(26, 27)

    @property
    def peak_notice(self) -> int:
        """0 none, else the number of the mobile peak announced."""
        return self._bits(28, 29)

    @property
    def peak(self) -> int:
        """0 none, else the number of the mobile peak that is running."""
        return self._bits(30, 31)


@dataclass(frozen=True, slots=True)
class TicReading:
    """One frame, understood. None where the frame did not say."""

    at: float
    """Monotonic seconds at which the frame was complete."""
    mode: Mode
    serial: str | None
    current_a: Trio
    """Drawn per phase, A; magnitude, whole amperes as the meter counts them."""
    apparent_va: Trio
    """Drawn per phase, VA; standard mode of a three-phase meter alone tells three."""
    apparent_total_va: float | None
    injected_va: float | None
    voltage_v: Trio
    subscribed_va: float | None
    """PREF, or ISOUSC x 200 V on each phase."""
    cut_off_va: float | None
    """PCOUP: at this power the meter opens."""
    overload: bool
    """ADPS or ADIR1..3: more is drawn than subscribed; shed now. In standard mode bit 7 of STGE."""
    overload_a: Trio
    """What the notice says, A."""
    short: bool
    """One of the short frames of a three-phase overload: currents and notices alone."""
    energy_wh: int | None
    tariff_index: int | None
    """NTARF; in historical mode none."""
    tariff: str | None
    """LTARF or PTEC, as the meter writes it."""
    relays: int | None
    """RELAIS: bit 0 the real dry contact, 1..7 virtual; 1 is closed."""
    status: StatusRegister | None

    @property
    def phases(self) -> int:
        """Phases the meter measures."""
        return 3 if self.current_a[1] is not None or self.current_a[2] is not None else 1

    @property
    def currents_a(self) -> tuple[float | None, ...]:
        """Of the phases it measures."""
        return self.current_a[: self.phases]

    def current_resolved_a(self) -> Trio:
        """Currents from apparent power and voltage where that is finer than whole amperes."""

        def one(phase: int) -> float | None:
            power, volts, amps = self.apparent_va[phase], self.voltage_v[phase], self.current_a[phase]
            if power is None or (self.mode is Mode.HISTORICAL and self.phases == 3):
                return amps
            return power / (volts or NOMINAL_V)

        return (one(0), one(1), one(2))


def understand(frame: Frame, at: float) -> TicReading:
    """The meaning of a frame."""
    return _standard(frame, at) if frame.mode is Mode.STANDARD else _historical(frame, at)


def _trio(frame: Frame, *labels: str) -> Trio:
    l1, l2, l3 = (frame.number(label) for label in labels)
    return (l1, l2, l3)


def _standard(frame: Frame, at: float) -> TicReading:
    status = _hex(frame.text("STGE"))
    register = None if status is None else StatusRegister(status)
    total = frame.number("SINSTS")
    currents = _trio(frame, "IRMS1", "IRMS2", "IRMS3")
    powers = _trio(frame, "SINSTS1", "SINSTS2", "SINSTS3")
    if currents[1] is None and currents[2] is None:
        powers = (total, None, None)
    reference, cut_off = frame.number("PREF"), frame.number("PCOUP")
    return TicReading(
        at=at,
        mode=frame.mode,
        serial=_stripped(frame.text("ADSC")),
        current_a=currents,
        apparent_va=powers,
        apparent_total_va=total,
        injected_va=frame.number("SINSTI"),
        voltage_v=_trio(frame, "URMS1", "URMS2", "URMS3"),
        subscribed_va=None if reference is None else reference * 1000.0,
        cut_off_va=None if cut_off is None else cut_off * 1000.0,
        overload=register is not None and register.over_power,
        overload_a=(None, None, None),
        short=False,
        energy_wh=frame.number("EAST"),
        tariff_index=frame.number("NTARF"),
        tariff=_stripped(frame.text("LTARF")),
        relays=frame.number("RELAIS"),
        status=register,
    )


_REGISTERS = (
    "BASE",
    "HCHC",
    "HCHP",
    "EJPHN",
    "EJPHPM",
    "BBRHCJB",
    "BBRHPJB",
    "BBRHCJW",
    "BBRHPJW",
    "BBRHCJR",
    "BBRHPJR",
)
"""Energy registers of the historical tariffs; a meter sends those of its own, and their sum is what it counted."""


def _historical(frame: Frame, at: float) -> TicReading:
    currents = _trio(frame, "IINST1", "IINST2", "IINST3")
    if currents[0] is None:
        currents = (frame.number("IINST"), None, None)
    notices = _trio(frame, "ADIR1", "ADIR2", "ADIR3")
    if (single := frame.number("ADPS")) is not None:
        notices = (single, None, None)
    subscribed = frame.number("ISOUSC")
    phases = 3 if currents[1] is not None else 1
    power = frame.number("PAPP")
    energies = [n for label in _REGISTERS if (n := frame.number(label)) is not None]
    return TicReading(
        at=at,
        mode=frame.mode,
        serial=_stripped(frame.text("ADCO")),
        current_a=currents,
        apparent_va=(power if phases == 1 else None, None, None),
        apparent_total_va=power,
        injected_va=None,
        voltage_v=(None, None, None),
        subscribed_va=None if subscribed is None else subscribed * SUBSCRIPTION_V * phases,
        cut_off_va=None,
        overload=any(n is not None for n in notices),
        overload_a=notices,
        short="PTEC" not in frame.groups and any(n is not None for n in notices),
        energy_wh=sum(energies) if energies else None,
        tariff_index=None,
        tariff=_stripped(frame.text("PTEC"), "."),
        relays=None,
        status=None,
    )


def _stripped(text: str | None, more: str = "") -> str | None:
    return None if text is None else text.strip().rstrip(more)


def _hex(text: str | None) -> int | None:
    try:
        return None if text is None else int(text, 16)
    except ValueError:
        return None
