"""What OCPP 1.6 calls things: actions, id tag information, meter values."""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from ocpp.v16.enums import Action, AuthorizationStatus, UnitOfMeasure

from chargepoint.journal import store
from chargepoint.ocpp.rpc import Dialect, Payload
from chargepoint.ocpp.timestamps import from_text, to_text
from chargepoint.station.api import Authorization, AuthStatus, MeterValue

SUBPROTOCOL: Final = "ocpp1.6"
MAX_ID_TAG: Final = 20
"""IdToken is a CiString20Type (7.28)."""

DIALECT: Final = Dialect(version="1.6", actions=frozenset(str(action.value) for action in Action), spelling={})

_STATUS: Final = {
    str(AuthorizationStatus.accepted.value): AuthStatus.ACCEPTED,
    str(AuthorizationStatus.blocked.value): AuthStatus.BLOCKED,
    str(AuthorizationStatus.expired.value): AuthStatus.EXPIRED,
    str(AuthorizationStatus.concurrent_tx.value): AuthStatus.CONCURRENT,
}
_UNITS: Final = frozenset(str(unit.value) for unit in UnitOfMeasure)


def authorization(info: Mapping[str, Any]) -> Authorization:
    """What an IdTagInfo says. A status nobody knows is Invalid; an expiry date nobody can read is none."""
    try:
        expiry: datetime | None = from_text(info.get("expiryDate", ""))
    except ValueError:
        expiry = None
    return Authorization(
        _STATUS.get(str(info.get("status")), AuthStatus.INVALID), expiry, info.get("parentIdTag") or None
    )


def meter_value(at: datetime, values: Iterable[MeterValue | Mapping[str, Any]]) -> Payload:
    """A MeterValue: each value, phase and location its own SampledValue (errata 3.14.3)."""
    return {"timestamp": to_text(at), "sampledValue": [_sampled(value) for value in values]}


def _sampled(value: MeterValue | Mapping[str, Any]) -> Payload:
    if not isinstance(value, MeterValue):
        value = MeterValue(**store.known(MeterValue, value))
    text = value.value if isinstance(value.value, str) else number(value.value)
    sampled = {"value": text, "context": value.context, "measurand": value.measurand}
    if value.format is not None:
        sampled["format"] = value.format
    if value.phase is not None:
        sampled["phase"] = value.phase
    if value.location is not None:
        sampled["location"] = value.location
    if value.unit in _UNITS:
        sampled["unit"] = value.unit  # frequency and power factor have no unit here (errata 3.86)
    return sampled


def number(value: float) -> str:
    """A decimal with at most three places, and no exponent."""
    if not math.isfinite(value):
        raise ValueError(f"a meter value must be a number, not {value}")
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
