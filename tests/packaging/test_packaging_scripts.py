"""The maintainer's scripts, command by command: a power cut at any of them leaves a whole version that runs."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed"),
    pytest.mark.skipif(shutil.which("deb-systemd-helper") is None, reason="deb-systemd-helper is not installed"),
]

Configured = Callable[..., list[str]]

WATCHED = """
looked() {
  echo "$BASH_COMMAND" >>"$DPKG_ROOT/commands"
  [ ! -L "$DPKG_ROOT/opt/chargepoint/current" ] || [ -e "$DPKG_ROOT/opt/chargepoint/current/bin/chargepoint" ] ||
    echo "nothing runs: $BASH_COMMAND" >>"$DPKG_ROOT/broken"
}
set -T
trap looked DEBUG
. "$0"
"""


def run(root: Path, script: str, name: str, *words: str) -> list[str]:
    """What dpkg runs of a package; answers its commands."""
    file = root / name
    file.write_text(script)
    (root / "commands").unlink(missing_ok=True)
    done = subprocess.run(
        ["bash", "-c", WATCHED, str(file), *words],
        env={
            "DPKG_ROOT": str(root),
            "DPKG_MAINTSCRIPT_PACKAGE": "chargepoint",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    (root / "said").write_text(done.stderr)
    return (root / "commands").read_text().splitlines()


@pytest.fixture
def configured(build: ModuleType) -> Configured:
    """What `dpkg --configure` runs, after the package `last`; answers its commands."""

    def configure(root: Path, version: str, last: str = "", units: str = "") -> list[str]:
        brought = root / "usr/lib/chargepoint/versions" / version
        (brought / "bin").mkdir(parents=True, exist_ok=True)
        (brought / "lib").mkdir(exist_ok=True)
        (brought / "bin/chargepoint").write_text(version)
        (root / "usr/share/chargepoint").mkdir(parents=True, exist_ok=True)
        (root / "usr/share/chargepoint/default.toml").write_text("")
        if not (root / "lib/systemd/system").exists():
            shutil.copytree(ROOT / "systemd", root / "lib/systemd/system")
        script = build.maintainer_script(ROOT, "postinst", version)
        if units:  # of a package that has fewer
            script = re.sub(r"(?<=for unit in ).*(?=; do)", units, script)
        return run(root, script, f"postinst-{version}", "configure", last and f"{last}-1~deb12")

    return configure


def installed(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "opt/chargepoint/versions").iterdir())


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_at_no_instant_of_an_installation_is_there_nothing_that_runs(
    configured: Configured, tmp_path: Path, version: str
) -> None:
    """A newer version, and the same again, as `apt install --reinstall` does."""
    configured(tmp_path, "1.0.0")
    configured(tmp_path, version)
    assert not (tmp_path / "broken").exists(), (tmp_path / "broken").read_text()
    assert (tmp_path / "opt/chargepoint/current").readlink() == Path("versions") / version
    assert installed(tmp_path) == sorted({"1.0.0", version})


def test_an_installation_that_the_power_ended_is_done_again(configured: Configured, tmp_path: Path) -> None:
    configured(tmp_path, "0.9.0")
    configured(tmp_path, "1.0.0")
    versions = tmp_path / "opt/chargepoint/versions"
    (versions / "1.0.0").rename(versions / ".1.0.0.laying")
    (versions.parent / "current").unlink()
    (versions.parent / "current").symlink_to("versions/.1.0.0.laying")
    configured(tmp_path, "1.0.0")
    assert not (tmp_path / "broken").exists()
    assert (versions.parent / "current").readlink() == Path("versions/1.0.0")
    assert installed(tmp_path) == ["0.9.0", "1.0.0"]


def test_a_version_is_on_the_disk_before_it_runs(configured: Configured, tmp_path: Path) -> None:
    commands = configured(tmp_path, "1.0.0")
    flushed = next(n for n, text in enumerate(commands) if text.split()[0] == "sync")
    pointed = next(n for n, text in enumerate(commands) if text.startswith("mv -T"))
    assert flushed < pointed


def test_packages_do_not_pile_up_and_the_last_that_proved_itself_stays(configured: Configured, tmp_path: Path) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        configured(tmp_path, version)
    assert installed(tmp_path) == ["1.1.0", "1.2.0"]
    configured(tmp_path, "1.2.0")
    assert installed(tmp_path) == ["1.1.0", "1.2.0"]
    # 1.2.0 on trial, 1.1.0 the way back; then a package comes.
    (tmp_path / "opt/chargepoint/before").symlink_to("versions/1.1.0")
    (tmp_path / "opt/chargepoint/trial.json").touch()
    configured(tmp_path, "1.3.0")
    assert installed(tmp_path) == ["1.1.0", "1.2.0", "1.3.0"]
    assert not (tmp_path / "opt/chargepoint/trial.json").exists()


def updated(root: Path, version: str, trial: bool = False) -> None:
    """As `update install` leaves it: the version runs, and `before` is the way back."""
    opt = root / "opt/chargepoint"
    (opt / "versions" / version / "bin").mkdir(parents=True)
    program = opt / "versions" / version / "bin/chargepoint"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (opt / "before").unlink(missing_ok=True)
    (opt / "current").rename(opt / "before")
    (opt / "current").symlink_to(f"versions/{version}")
    if trial:
        (opt / "trial.json").touch()


def runs(root: Path) -> str:
    return (root / "opt/chargepoint/current").readlink().name


@pytest.mark.parametrize("trial", [False, True])
@pytest.mark.parametrize("package", ["1.0.0", "1.1.0"])
def test_a_package_does_not_replace_the_newer_version_that_an_update_brought(
    configured: Configured, tmp_path: Path, package: str, trial: bool
) -> None:
    """dpkg knows 1.0.0: its reinstallation and the next package are both older than what runs."""
    configured(tmp_path, "1.0.0")
    updated(tmp_path, "1.2.0", trial)
    configured(tmp_path, package, "1.0.0")
    assert runs(tmp_path) == "1.2.0"
    assert installed(tmp_path) == sorted({"1.0.0", package, "1.2.0"})
    assert (tmp_path / "opt/chargepoint/trial.json").exists() == trial
    assert f"to go to it: chargepoint update switch {package}" in (tmp_path / "said").read_text()
    configured(tmp_path, "1.3.0", package)
    assert runs(tmp_path) == "1.3.0"


def test_packages_do_not_pile_up_beside_the_newer_version_that_an_update_brought(
    configured: Configured, tmp_path: Path
) -> None:
    configured(tmp_path, "1.0.0")
    updated(tmp_path, "1.9.0")
    configured(tmp_path, "1.1.0", "1.0.0")
    configured(tmp_path, "1.2.0", "1.1.0")
    assert installed(tmp_path) == ["1.0.0", "1.2.0", "1.9.0"]


def test_who_asks_apt_for_an_older_package_gets_it(configured: Configured, tmp_path: Path) -> None:
    configured(tmp_path, "1.1.0")
    updated(tmp_path, "1.2.0")
    configured(tmp_path, "1.0.0", "1.1.0")
    assert runs(tmp_path) == "1.0.0"
    assert (tmp_path / "said").read_text() == ""


@pytest.mark.parametrize("there", [False, True])
def test_a_newer_version_that_does_not_run_does_not_stay(configured: Configured, tmp_path: Path, there: bool) -> None:
    """As after a change of suite: what was built for the Python of before does not start."""
    configured(tmp_path, "1.0.0")
    updated(tmp_path, "1.2.0")
    program = tmp_path / "opt/chargepoint/versions/1.2.0/bin/chargepoint"
    program.unlink()
    if there:
        program.symlink_to("/bin/false")
    configured(tmp_path, "1.0.0", "1.0.0")
    assert runs(tmp_path) == "1.0.0"


UNITS = {
    "multi-user.target.wants/chargepoint.target",
    "multi-user.target.wants/chargepoint-trial.service",
    *(
        f"chargepoint.target.wants/chargepoint-{name}"
        for name in (
            *("evse.service", "station.service", "first-boot.service"),
            *("errands.path", "trial.path", "update.path"),
        )
    ),
}


def enabled(root: Path) -> set[str]:
    system = root / "etc/systemd/system"
    return {str(path.relative_to(system)) for path in system.glob("*.wants/*")}


def test_an_installation_enables_the_units_also_where_no_systemd_runs(configured: Configured, tmp_path: Path) -> None:
    configured(tmp_path, "1.0.0")
    assert enabled(tmp_path) == UNITS


def test_what_was_disabled_stays_so_and_what_is_new_is_enabled(configured: Configured, tmp_path: Path) -> None:
    units = tmp_path / "lib/systemd/system"
    shutil.copytree(ROOT / "systemd", units)
    (units / "chargepoint-trial.path").rename(tmp_path / "later")
    (disabled,) = (unit for unit in UNITS if "first-boot" in unit)
    (new,) = (unit for unit in UNITS if "trial.path" in unit)
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    (tmp_path / "etc/systemd/system/chargepoint-station.service").symlink_to("/dev/null")  # masked
    configured(tmp_path, "1.0.0", units="chargepoint.target chargepoint-first-boot.service")
    (tmp_path / "etc/systemd/system" / disabled).unlink()
    (tmp_path / "later").rename(units / "chargepoint-trial.path")
    configured(tmp_path, "1.1.0", "1.0.0")
    assert enabled(tmp_path) == UNITS - {disabled}
    assert new in enabled(tmp_path)


def test_no_link_leads_to_a_unit_that_only_another_version_brought(configured: Configured, tmp_path: Path) -> None:
    configured(tmp_path, "1.1.0")
    unit = tmp_path / "lib/systemd/system/chargepoint-trial.path"
    unit.rename(tmp_path / "later")
    others = "chargepoint.target chargepoint-evse.service"
    own = tmp_path / "etc/systemd/system/multi-user.target.wants/chargepoint-of-ours.service"
    own.symlink_to("../chargepoint-of-ours.service")
    configured(tmp_path, "1.0.0", "1.1.0", units=others)
    assert enabled(tmp_path) == {name for name in UNITS if "trial.path" not in name} | {
        "multi-user.target.wants/chargepoint-of-ours.service"
    }
    own.unlink()
    (tmp_path / "later").rename(unit)
    configured(tmp_path, "1.1.0", "1.0.0")
    assert enabled(tmp_path) == UNITS


def test_nothing_stays_enabled_of_a_package_that_was_removed(
    configured: Configured, build: ModuleType, tmp_path: Path
) -> None:
    configured(tmp_path, "1.0.0")
    console = tmp_path / "etc/systemd/system/chargepoint.target.wants/chargepoint-console@ttyGS0.service"
    console.symlink_to("/lib/systemd/system/chargepoint-console@.service")
    shutil.rmtree(tmp_path / "lib/systemd/system")
    run(tmp_path, build.maintainer_script(ROOT, "postrm", "1.0.0"), "postrm", "remove")
    assert enabled(tmp_path) == set()
    assert not (tmp_path / "var/lib/systemd").exists() or not list(
        (tmp_path / "var/lib/systemd").rglob("*chargepoint*")
    )
