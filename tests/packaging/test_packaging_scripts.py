"""The maintainer's scripts, command by command: a power cut at any of them leaves a whole version that runs."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "packaging/debian"

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")

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


def configured(root: Path, version: str, last: str = "") -> list[str]:
    """What `dpkg --configure` runs, after the package `last`; answers its commands."""
    brought = root / "usr/lib/chargepoint/versions" / version
    (brought / "bin").mkdir(parents=True, exist_ok=True)
    (brought / "lib").mkdir(exist_ok=True)
    (brought / "bin/chargepoint").write_text(version)
    (root / "usr/share/chargepoint").mkdir(parents=True, exist_ok=True)
    (root / "usr/share/chargepoint/default.toml").write_text("")
    script = root / f"postinst-{version}"
    script.write_text((SCRIPTS / "postinst").read_text(encoding="utf-8").replace("@VERSION@", version))
    (root / "commands").unlink(missing_ok=True)
    done = subprocess.run(
        ["bash", "-c", WATCHED, str(script), "configure", last],
        env={"DPKG_ROOT": str(root), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    (root / "said").write_text(done.stderr)
    return (root / "commands").read_text().splitlines()


def installed(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "opt/chargepoint/versions").iterdir())


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_at_no_instant_of_an_installation_is_there_nothing_that_runs(tmp_path: Path, version: str) -> None:
    """A newer version, and the same again, as `apt install --reinstall` does."""
    configured(tmp_path, "1.0.0")
    configured(tmp_path, version)
    assert not (tmp_path / "broken").exists(), (tmp_path / "broken").read_text()
    assert (tmp_path / "opt/chargepoint/current").readlink() == Path("versions") / version
    assert installed(tmp_path) == sorted({"1.0.0", version})


def test_an_installation_that_the_power_ended_is_done_again(tmp_path: Path) -> None:
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


def test_a_version_is_on_the_disk_before_it_runs(tmp_path: Path) -> None:
    commands = configured(tmp_path, "1.0.0")
    flushed = next(n for n, text in enumerate(commands) if text.split()[0] == "sync")
    pointed = next(n for n, text in enumerate(commands) if text.startswith("mv -T"))
    assert flushed < pointed


def test_packages_do_not_pile_up_and_the_last_that_proved_itself_stays(tmp_path: Path) -> None:
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
    (opt / "versions" / version / "bin/chargepoint").write_text(version)
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
    tmp_path: Path, package: str, trial: bool
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


def test_packages_do_not_pile_up_beside_the_newer_version_that_an_update_brought(tmp_path: Path) -> None:
    configured(tmp_path, "1.0.0")
    updated(tmp_path, "1.9.0")
    configured(tmp_path, "1.1.0", "1.0.0")
    configured(tmp_path, "1.2.0", "1.1.0")
    assert installed(tmp_path) == ["1.0.0", "1.2.0", "1.9.0"]


def test_who_asks_apt_for_an_older_package_gets_it(tmp_path: Path) -> None:
    configured(tmp_path, "1.1.0")
    updated(tmp_path, "1.2.0")
    configured(tmp_path, "1.0.0", "1.1.0")
    assert runs(tmp_path) == "1.0.0"
    assert (tmp_path / "said").read_text() == ""


def test_a_newer_version_of_which_nothing_is_left_does_not_stay(tmp_path: Path) -> None:
    configured(tmp_path, "1.0.0")
    updated(tmp_path, "1.2.0")
    shutil.rmtree(tmp_path / "opt/chargepoint/versions/1.2.0")
    configured(tmp_path, "1.1.0", "1.0.0")
    assert runs(tmp_path) == "1.1.0"
