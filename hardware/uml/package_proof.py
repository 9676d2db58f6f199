"""The package and its updates under systemd, on a journal full of sessions: runs inside the machine, prints PROVED and
FAILED lines. /root/stick has the packages and bundles of `packaging/machine/stick.py`.
"""

import json
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from units_proof import POLL_S, both_services_become_ready_in_their_sandboxes, expect, prove, shell, show, status, until

STICK = Path("/root/stick")
JOURNAL = Path("/var/lib/chargepoint/chargepoint.db")
FIRST, BETTER, BROKEN = "1.0.0", "1.1.0", "1.2.0"
SESSIONS = 5000
"""About two years of a busy borne."""
LONG_S = 900.0


def charge() -> None:
    """One car comes, charges, and leaves."""
    before = count()
    shell("chargepoint", "sim", "plug", "1")
    said = shell("chargepoint", "sim", "wait", "1", "--contactor", "true", "--timeout", "120", timeout=130)
    until(lambda: status().get("evses", [{}])[0].get("transaction"), 60, f"a transaction is shown; {said}")
    shell("chargepoint", "sim", "unplug", "1", "car")  # its other end is locked
    until(lambda: count(ended=True) == before + 1, 60, "the transaction is in the journal")
    until(lambda: '"plugged": false' in shell("chargepoint", "sim", "unplug", "1"), 60, "the plug comes free")


def count(*, ended: bool = False) -> int:
    with closing(sqlite3.connect(JOURNAL)) as journal:
        found: int = journal.execute("SELECT count(*) FROM tx WHERE ended >= ?", (int(ended),)).fetchone()[0]
    return found


def account() -> list[tuple[int, int, int, int]]:
    """Every session: number, registers, samples kept of it."""
    with closing(sqlite3.connect(JOURNAL)) as journal:
        return journal.execute(
            "SELECT tx, meter_start_wh, last_wh, (SELECT count(*) FROM sample WHERE sample.tx = tx.tx) FROM tx"
        ).fetchall()


def runs(version: str) -> None:
    until(lambda: status().get("version") == version, LONG_S, f"{version} answers")
    # A host that leaves this machine alone for 250 ms makes its safety loop late: a fault of 60 s.
    until(lambda: status().get("evses", [{}])[0].get("status") == "Available", 240, "point 1 can be used")


def kept(before: list[tuple[int, int, int, int]]) -> None:
    now = account()
    expect(now[: len(before)] == before, f"the journal had {len(before)} sessions and has other ones, {len(now)}")


def a_journal_full_of_sessions_is_read() -> None:
    charge()
    shell("systemctl", "stop", "chargepoint-station")
    with closing(sqlite3.connect(JOURNAL)) as journal:
        names = ", ".join(row[1] for row in journal.execute("PRAGMA table_info(tx)") if row[1] != "tx")
        numbers = f"WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {SESSIONS})"
        journal.execute(f"{numbers} INSERT INTO tx (tx, {names}) SELECT i, {names} FROM tx, n WHERE tx = 1")
        journal.execute(
            "INSERT INTO sample (tx, boot, mono, utc, content) SELECT tx.tx, boot, mono, utc, content"
            " FROM sample, tx WHERE sample.tx = 1 AND tx.tx > 1"
        )
        journal.commit()
    before = account()
    shell("systemctl", "start", "chargepoint-station")
    runs(FIRST)
    kept(before)
    charge()
    print(f"{count()} sessions, {sum(row[3] for row in before)} samples, {JOURNAL.stat().st_size / 1e6:.1f} MB")


def install(bundle: str, *words: str) -> str:
    said = shell("chargepoint", "update", "install", *words, str(STICK / f"{bundle}.bundle"), timeout=LONG_S)
    print(f"{bundle}: {said.splitlines()[-1]}")
    return said


def a_signed_update_is_installed_and_stays() -> None:
    for key in (STICK / "trusted-keys").iterdir():
        shutil.copy(key, "/etc/chargepoint/trusted-keys/")
    before = account()
    expect("is well and stays" in install(BETTER, "--settled", "10"), "it does not stay")
    runs(BETTER)
    kept(before)
    charge()


def what_nobody_signed_for_this_borne_is_refused() -> None:
    for bundle, word in (("altered", ""), ("cut-short", "cut short"), ("for-another", "ARD-0002"), (FIRST, "older")):
        said = install(bundle)
        expect(word in said and "Traceback" not in said and "stays" not in said, said)
    expect(status().get("version") == BETTER, "another version runs")


def a_broken_update_is_taken_back_and_every_session_kept() -> None:
    before = account()
    said = install(BROKEN)
    expect(f"back to {BETTER}" in said, said)
    runs(BETTER)
    kept(before)
    charge()


def downgrade_and_upgrade_by_package_keep_the_journal() -> None:
    """A package goes back only from a newer package: what a bundle brought stays."""
    for package, runs_then in ((FIRST, BETTER), (BETTER, BETTER), (FIRST, FIRST), (BETTER, BETTER)):
        before = account()
        dpkg("-i", str(STICK / f"{package}.deb"))
        runs(runs_then)
        kept(before)
        charge()


def purging_leaves_nothing_and_the_package_installs_again() -> None:
    configuration = Path("/etc/chargepoint/chargepoint.toml").read_text()
    shell("systemctl", "stop", "proof-sim")  # it runs as one of the users that go
    watched_while_it_goes()
    dpkg("-P", "chargepoint")
    left = [path for path in ("/opt/chargepoint", "/etc/chargepoint", "/var/lib/chargepoint") if Path(path).exists()]
    users = shell("getent", "passwd", "chargepoint", "chargepoint-evse", "chargepoint-console")
    failed = shell("systemctl", "list-units", "--failed", "--plain", "--no-legend", "chargepoint*")
    expect(not left and not users and not failed, f"purging left {left} {users} {failed}")
    dpkg("-i", str(STICK / f"{FIRST}.deb"))
    Path("/etc/chargepoint/chargepoint.toml").write_text(configuration)
    shell("systemctl", "restart", "proof-sim", "chargepoint.target")
    runs(FIRST)
    charge()
    expect(count() == 1, f"a new borne knows {count()} sessions")


def watched_while_it_goes() -> None:
    """A trial is watched for minutes: its unit is killed when the package goes, and systemd calls that a failure."""
    shell("systemctl", "stop", "chargepoint-station")  # else the version is found well at once
    Path("/opt/chargepoint/trial.json").write_text(json.dumps({"version": BETTER, "previous": FIRST}))
    until(lambda: show("chargepoint-trial", "ActiveState") == "activating", 60, "the trial is watched")
    time.sleep(POLL_S)  # its program has been begun


def dpkg(*words: str) -> None:
    said = shell("dpkg", "--no-triggers", "--force-unsafe-io", "--force-depends", *words, timeout=LONG_S)
    expect("error processing" not in said, said)


if __name__ == "__main__":
    prove(
        both_services_become_ready_in_their_sandboxes,
        a_journal_full_of_sessions_is_read,
        a_signed_update_is_installed_and_stays,
        what_nobody_signed_for_this_borne_is_refused,
        a_broken_update_is_taken_back_and_every_session_kept,
        downgrade_and_upgrade_by_package_keep_the_journal,
        purging_leaves_nothing_and_the_package_installs_again,
    )
