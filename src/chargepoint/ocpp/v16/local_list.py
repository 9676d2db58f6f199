"""LocalAuthListManagement profile: the list lies in the journal and is changed as a whole or not at all."""

import sqlite3
from typing import Any

from ocpp.v16 import call_result
from ocpp.v16.enums import Action, UpdateStatus, UpdateType

from chargepoint.journal import tokens
from chargepoint.journal.journal import Journal
from chargepoint.journal.tokens import Entry
from chargepoint.ocpp.rpc import on
from chargepoint.ocpp.v16.dialect import authorization
from chargepoint.ocpp.v16.keys import LOCAL_LIST_MAX, SEND_LOCAL_LIST_MAX
from chargepoint.station.settings import Settings


class LocalList:
    """Handlers of the LocalAuthListManagement profile."""

    def __init__(self, journal: Journal, settings: Settings) -> None:
        self._journal = journal
        self._settings = settings

    @on(Action.get_local_list_version)
    async def get_local_list_version(self) -> call_result.GetLocalListVersion:
        """0 for an empty list, whatever its version (5.10)."""
        version = await self._journal.read(lambda db: tokens.list_version(db) if tokens.list_size(db) else 0)
        return call_result.GetLocalListVersion(version)

    @on(Action.send_local_list)
    async def send_local_list(
        self, list_version: int, update_type: str, local_authorization_list: list[dict[str, Any]] | None = None
    ) -> call_result.SendLocalList:
        if not self._settings.local_list_enabled:
            return call_result.SendLocalList(UpdateStatus.not_supported)
        rows = local_authorization_list or []
        entries = [_entry(row) for row in rows if row.get("id_tag_info")]
        removed = [row["id_tag"] for row in rows if not row.get("id_tag_info")]
        full = update_type == UpdateType.full
        if list_version < 1 or len(rows) > SEND_LOCAL_LIST_MAX or (full and removed):
            return call_result.SendLocalList(UpdateStatus.failed)  # 0 and -1 are no versions (errata 3.52)
        status = await self._journal.write(lambda db: _update(db, list_version, full, entries, removed))
        return call_result.SendLocalList(status)


def _entry(row: dict[str, Any]) -> Entry:
    info = row["id_tag_info"]
    known = authorization(
        {"status": info.get("status"), "expiryDate": info.get("expiry_date"), "parentIdTag": info.get("parent_id_tag")}
    )
    return Entry(row["id_tag"], known.status.value, known.expiry.timestamp() if known.expiry else None, known.group)


def _update(db: sqlite3.Connection, version: int, full: bool, entries: list[Entry], removed: list[str]) -> UpdateStatus:
    if not full and version <= tokens.list_version(db):
        return UpdateStatus.version_mismatch
    db.execute("SAVEPOINT local_list")
    if full:
        tokens.replace_list(db, version, entries)
    else:
        tokens.change_list(db, version, entries, removed)
    if tokens.list_size(db) > LOCAL_LIST_MAX:
        db.execute("ROLLBACK TO local_list")
        db.execute("RELEASE local_list")
        return UpdateStatus.failed
    db.execute("RELEASE local_list")
    return UpdateStatus.accepted
