"""The status of OCPP 1.6, derived from the session and from what the safety process reports."""

from chargepoint.connectors import DOMESTIC
from chargepoint.evse.messages import PointReport
from chargepoint.station.api import ConnectorStatus
from chargepoint.station.session import Session

DRAWS_A = 0.5
"""Above it a plug in a domestic socket charges (Mode 2 tells nothing but its current)."""
SETTLE_S = 8.0
"""After a start, how long a car may take to ask for current before it counts as suspended by the car."""


def derive(
    session: Session,
    report: PointReport | None,
    permitted: bool,
    before: ConnectorStatus,
    begun_for_s: float,
    operative: bool,
    faulted: bool,
    reserved: bool,
    drawn_a: float = 0.0,
) -> ConnectorStatus:
    """The status to show of the connector a session is about. `before` is the last one; while a transaction is being
    ended it stays. `drawn_a` is looked at where no pilot tells whether a car asks.

    The end of a transaction must be queued before its point is reported as Finishing.
    """
    if faulted:
        return ConnectorStatus.FAULTED
    state = session.state
    if state == "running":
        if not session.connected:
            return ConnectorStatus.SUSPENDED_EV
        if session.connector == DOMESTIC:
            return _without_pilot(report, permitted, before, begun_for_s, drawn_a)
        return _running(report, permitted, before, begun_for_s)
    if state == "stopping":  # a fault may have cleared meanwhile: the transaction is still open
        return ConnectorStatus.SUSPENDED_EVSE if before is ConnectorStatus.FAULTED else before
    if state == "starting":
        return ConnectorStatus.PREPARING
    if not operative:
        return ConnectorStatus.UNAVAILABLE
    if state in ("waiting_auth", "waiting_car"):
        return ConnectorStatus.PREPARING
    if state == "finished":
        return ConnectorStatus.FINISHING
    return ConnectorStatus.RESERVED if reserved else ConnectorStatus.AVAILABLE


def _running(
    report: PointReport | None, permitted: bool, before: ConnectorStatus, begun_for_s: float
) -> ConnectorStatus:
    asks = report is not None and report.state[:1] in "CD"
    if permitted and asks and report is not None and report.contactor_closed:
        return ConnectorStatus.CHARGING
    if before is ConnectorStatus.PREPARING and begun_for_s < SETTLE_S:
        return before
    # The car asks and the borne does not give (no share, lock, self-test, delay after opening), or it does not ask.
    return ConnectorStatus.SUSPENDED_EV if permitted and not asks else ConnectorStatus.SUSPENDED_EVSE


def _without_pilot(
    report: PointReport | None, permitted: bool, before: ConnectorStatus, begun_for_s: float, drawn_a: float
) -> ConnectorStatus:
    live = permitted and report is not None and report.domestic_closed
    if live and drawn_a > DRAWS_A:
        return ConnectorStatus.CHARGING
    if before is ConnectorStatus.PREPARING and begun_for_s < SETTLE_S:
        return before
    return ConnectorStatus.SUSPENDED_EV if live else ConnectorStatus.SUSPENDED_EVSE
