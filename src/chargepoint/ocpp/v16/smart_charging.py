"""SmartCharging profile: charging profiles and composite schedules, translated to the neutral ones and back."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from ocpp.v16 import call_result
from ocpp.v16.enums import (
    Action,
    ChargingProfilePurposeType,
    ChargingProfileStatus,
    ClearChargingProfileStatus,
    GetCompositeScheduleStatus,
)

from chargepoint.energy.composite import Composite
from chargepoint.energy.profiles import Kind, Period, Profile, ProfileError, Purpose, Recurrency
from chargepoint.journal import transactions
from chargepoint.journal.journal import Journal
from chargepoint.ocpp import schema
from chargepoint.ocpp.rpc import Refusal, on
from chargepoint.ocpp.timestamps import from_text, to_text
from chargepoint.ocpp.v16.connectors import Connectors, Place
from chargepoint.station.api import Outcome, StationApi

_PURPOSE: Final = {
    str(ChargingProfilePurposeType.charge_point_max_profile.value): Purpose.STATION_MAX,
    str(ChargingProfilePurposeType.tx_default_profile.value): Purpose.TX_DEFAULT,
    str(ChargingProfilePurposeType.tx_profile.value): Purpose.TX,
}
_WRONG_VALUE: Final = ("unit", "evse")
"""Members whose wrong value is a CALLERROR and no status (errata 3.38, 3.39)."""

log = structlog.get_logger("ocpp.smart-charging")


def profile_of(fields: Mapping[str, Any], place: Place, installed: float) -> Profile:
    """The neutral profile of a csChargingProfiles with snake_case names."""
    schedule = fields["charging_schedule"]
    recurrency = fields.get("recurrency_kind")
    transaction = fields.get("transaction_id")
    return Profile(
        id=fields["charging_profile_id"],
        purpose=_PURPOSE[fields["charging_profile_purpose"]],
        stack=fields["stack_level"],
        kind=Kind(fields["charging_profile_kind"].lower()),
        unit=schedule["charging_rate_unit"],
        periods=tuple(
            Period(period["start_period"], float(period["limit"]), period.get("number_phases"))
            for period in schedule["charging_schedule_period"]
        ),
        evse=place.evse,
        connector=place.connector,
        recurrency=None if recurrency is None else Recurrency(recurrency.lower()),
        valid_from=_seconds(fields.get("valid_from")),
        valid_to=_seconds(fields.get("valid_to")),
        start=_seconds(schedule.get("start_schedule")),
        duration=schedule.get("duration"),
        min_rate=schedule.get("min_charging_rate"),
        transaction=None if transaction is None else str(transaction),
        installed=int(installed),
    )


def _seconds(text: str | None) -> int | None:
    return None if text is None else int(from_text(text).timestamp())


class SmartCharging:
    """Handlers of the SmartCharging profile. `utc` is the present in seconds."""

    def __init__(self, station: StationApi, journal: Journal, connectors: Connectors, utc: Callable[[], float]) -> None:
        self._station = station
        self._journal = journal
        self._connectors = connectors
        self._utc = utc

    @on(Action.set_charging_profile)
    async def set_charging_profile(
        self, connector_id: int, cs_charging_profiles: dict[str, Any]
    ) -> call_result.SetChargingProfile:
        place = self._connectors.place_of(connector_id)
        if place is None:
            raise Refusal(schema.PROPERTY, f"connectorId {connector_id} does not exist")
        profile = profile_of(cs_charging_profiles, place, self._utc())
        try:
            outcome = await self._station.set_profile(await self._with_own_transaction(profile))
        except ProfileError as error:
            log.info("profile refused", field=error.field, reason=str(error))
            if error.field in _WRONG_VALUE:
                raise Refusal(schema.PROPERTY, str(error)) from error
            return call_result.SetChargingProfile(ChargingProfileStatus.rejected)
        accepted = outcome is Outcome.ACCEPTED
        return call_result.SetChargingProfile(
            ChargingProfileStatus.accepted if accepted else ChargingProfileStatus.rejected
        )

    async def _with_own_transaction(self, profile: Profile) -> Profile:
        """The station knows its transactions by numbers of its own; -1 is nobody's."""
        if profile.transaction is None:
            return profile
        backend_id = profile.transaction
        tx = await self._journal.read(lambda db: transactions.by_backend_id(db, backend_id))
        return replace(profile, transaction=str(-1 if tx is None else tx))

    @on(Action.clear_charging_profile)
    async def clear_charging_profile(
        self,
        id: int | None = None,
        connector_id: int | None = None,
        charging_profile_purpose: str | None = None,
        stack_level: int | None = None,
    ) -> call_result.ClearChargingProfile:
        """All that is given must match; an id alone decides when it is given (errata 3.25, 3.26)."""
        place = None if connector_id is None else self._connectors.place_of(connector_id)
        if id is None and connector_id is not None and place is None:
            return call_result.ClearChargingProfile(ClearChargingProfileStatus.unknown)
        purpose = None if charging_profile_purpose is None else _PURPOSE[charging_profile_purpose]
        evse, connector = (None, None) if place is None else place
        outcome = await self._station.clear_profiles(
            id=id, evse=evse, purpose=purpose, stack=stack_level, connector=connector
        )
        accepted = outcome is Outcome.ACCEPTED
        return call_result.ClearChargingProfile(
            ClearChargingProfileStatus.accepted if accepted else ClearChargingProfileStatus.unknown
        )

    @on(Action.get_composite_schedule)
    def get_composite_schedule(
        self, connector_id: int, duration: int, charging_rate_unit: str | None = None
    ) -> call_result.GetCompositeSchedule:
        place = self._connectors.place_of(connector_id)
        composite = None
        if place is not None and duration >= 0:
            composite = self._station.composite(place.evse, duration, charging_rate_unit or "A", place.connector)
        if composite is None or not composite.periods:
            return call_result.GetCompositeSchedule(GetCompositeScheduleStatus.rejected)
        return call_result.GetCompositeSchedule(
            GetCompositeScheduleStatus.accepted,
            connector_id,
            to_text(datetime.fromtimestamp(composite.begin, UTC)),
            _schedule(composite),
        )


def _schedule(composite: Composite) -> dict[str, Any]:
    """Without startSchedule: its beginning is the answer's scheduleStart (errata 3.57)."""
    return {
        "duration": composite.duration,
        "chargingRateUnit": composite.unit,
        "chargingSchedulePeriod": [
            {"startPeriod": period.start, "limit": period.limit}
            | ({} if period.phases is None else {"numberPhases": period.phases})
            for period in composite.periods
        ],
    }
