"""Files of the journal as a broken disk gives them back, and what the borne makes of them."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from random import Random

from disk_life import KNOWN, Life
from harness import Borne, RpcError
from machine import SECTOR

from chargepoint.journal import store
from chargepoint.journal.journal import FILE_NAME, Journal
from chargepoint.sim.central_system import CentralSystem

WAL = f"{FILE_NAME}-wal"


@dataclass
class Case:
    """What became of one file."""

    kind: str
    name: str
    files: dict[str, bytes]


def damage(files: dict[str, bytes], dice: Random) -> Case:
    """Of the journal's files, one is cut, has bits turned, or sectors lost or exchanged."""
    name = dice.choice([n for n in (FILE_NAME, WAL) if files.get(n)])
    content = bytearray(files[name])
    kind = dice.choice(("cut", "flip", "sectors"))
    if kind == "cut":
        del content[dice.randrange(len(content)) :]
    elif kind == "flip":
        for _ in range(1 << dice.randrange(8)):
            content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    else:
        for _ in range(dice.randint(1, 4)):
            at, other = (SECTOR * dice.randrange(max(1, len(content) // SECTOR)) for _ in "ab")
            content[at : at + SECTOR] = bytes(SECTOR) if dice.random() < 0.5 else content[other : other + SECTOR]
    return Case(kind, name, {name: bytes(content)})


async def look(life: Life, at: float, place: Path, case: Case) -> str:
    """Open it, write, open it again. A verdict in words; one that begins with `wrong` should never be."""
    due = [p for p in life.promises if p.since < at <= p.until]
    try:
        journal = Journal.open(place / FILE_NAME, "the next boot")
    except (sqlite3.Error, OSError, ValueError) as error:
        return f"wrong: does not open: {error!r}"
    try:
        loss, trouble = journal.loss, journal.trouble
        missing = [p.what for p in due if not await journal.read(p.holds)]
        await journal.write(lambda db: store.put(db, "test", "after", 1))
    except sqlite3.Error as error:
        return f"wrong: does not work: {error!r}"
    finally:
        journal.close()
    again = Journal.open(place / FILE_NAME, "the boot after")
    again.close()
    if trouble:
        return f"wrong: trouble {trouble}"
    if again.loss is not None:
        return f"wrong: damaged again: {again.loss.sentence()}"
    if loss is not None:
        return "told, something lost" if missing else "told, nothing of the outside's lost"
    if not missing:
        return "nothing lost"
    untold = f"something lost and not told ({missing[0].partition(' at')[0]})"
    # A bit within a number of the database is what SQLite, without checksums of its pages, cannot see.
    return untold if case.name == FILE_NAME and case.kind != "cut" else f"wrong: {untold}"


async def start_and_charge(files: dict[str, bytes]) -> str:
    """The whole program with these files in its state directory."""
    async with CentralSystem(tags=[KNOWN]) as central:
        borne = Borne(central.url)
        try:
            state = borne.root / "state"
            state.mkdir()
            for name, content in files.items():
                (state / name).write_bytes(content)
            await borne.start()
            await borne.until(lambda: _registered(borne), 20, "the central system to accept the borne")
            told = any(f["name"] == "database-damaged" for f in (await borne.status())["faults"])
            point = 2 if (await borne.evse(1))["status"] == "Faulted" else 1  # the latched fault of that life
            await borne.station("availability", evse=point, operative=True)
            await borne.sim("plug", evse=point)
            await _badge_until_it_charges(borne, point)
            return f"charges, {'told' if told else 'nothing to tell'}"
        except (AssertionError, RpcError, TimeoutError) as error:
            return f"wrong: {str(error)[:200]}"
        finally:
            await borne.stop()
            borne.remove()


async def _badge_until_it_charges(borne: Borne, point: int) -> None:
    """A transaction of before is being closed, perhaps: people show their badge again."""
    for _ in range(4):
        if (await borne.evse(point))["transaction"] is None:
            await borne.sim("badge", uid=KNOWN)
        try:
            await borne.sim("wait", evse=point, contactor=True, timeout=8)
        except RpcError:
            continue
        return
    raise AssertionError((await borne.station("why", evse=point, lang="en")) or "it does not charge")


async def _registered(borne: Borne) -> bool:
    return bool((await borne.status())["ocpp"].get("registration") == "Accepted")
