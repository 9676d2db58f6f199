"""The package is built by one command, reproducibly; it installs, upgrades, goes back and purges to nothing."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed"),
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git working copy, so no commit to build"),
]


def built(out: Path, lib: Path, commit: str, version: str) -> Path:
    # Its real compression takes ten seconds and is not what is tried here.
    command = [sys.executable, str(ROOT / "packaging/build.py"), "--suite", "bookworm", "--arch", "amd64"]
    command += ["--out", str(out), "--lib", str(lib), "--commit", commit, "--version", version, "--compression", "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def lib(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The few packages that the command line needs to start, from this environment instead of the network."""
    folder = tmp_path_factory.mktemp("lib")
    site = Path(sysconfig.get_path("purelib"))
    for name in ("msgspec",):
        shutil.copytree(site / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory, lib: Path, commit: str) -> dict[str, Path]:
    return {v: built(tmp_path_factory.mktemp(f"deb-{v}"), lib, commit, v) for v in ("1.0.0", "1.1.0")}


def test_the_same_commit_makes_the_same_bytes(
    tmp_path: Path, lib: Path, commit: str, packages: dict[str, Path]
) -> None:
    assert built(tmp_path, lib, commit, "1.0.0").read_bytes() == packages["1.0.0"].read_bytes()


def contents(package: Path) -> list[str]:
    done = subprocess.run(["dpkg-deb", "--contents", str(package)], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_package_brings_units_users_pages_and_rules(packages: dict[str, Path]) -> None:
    names = [line.split()[5] for line in contents(packages["1.0.0"])]
    for wanted in (
        *("./lib/systemd/system/chargepoint-evse.service", "./lib/systemd/system/chargepoint.target"),
        *(
            "./lib/systemd/system/chargepoint-update.path",
            "./lib/systemd/system/chargepoint-errands.path",
            "./lib/systemd/system/chargepoint-console@.service",
        ),
        *("./usr/lib/sysusers.d/chargepoint.conf", "./usr/lib/tmpfiles.d/chargepoint.conf"),
        *("./lib/udev/rules.d/61-chargepoint.rules", "./usr/lib/chargepoint/pilots-safe"),
        *("./usr/share/man/man1/chargepoint.1", "./usr/share/bash-completion/completions/chargepoint"),
        *("./usr/bin/chargepoint", "./usr/lib/chargepoint/versions/1.0.0/bin/chargepoint"),
        *("./usr/lib/chargepoint/units-number", "./usr/lib/chargepoint/versions/1.0.0/units-number"),
    ):
        assert wanted in names


def test_the_suite_is_in_the_version_of_the_package_and_not_of_the_program(packages: dict[str, Path]) -> None:
    words = ["dpkg-deb", "--field", str(packages["1.0.0"]), "Version"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() == "1.0.0-1~deb12"
    assert any("/versions/1.0.0/bin/chargepoint" in line for line in contents(packages["1.0.0"]))


def test_the_bill_of_materials_is_of_the_version_that_is_shipped_and_goes_with_it(
    packages: dict[str, Path], tmp_path: Path
) -> None:
    subprocess.run(["dpkg-deb", "-x", str(packages["1.1.0"]), str(tmp_path)], check=True)
    told = json.loads((tmp_path / "usr/share/doc/chargepoint/sbom.json").read_text())
    assert told["metadata"]["component"]["version"] == "1.1.0"
    # An update by bundle brings the folder of the version and nothing else.
    assert json.loads((tmp_path / "usr/lib/chargepoint/versions/1.1.0/sbom.json").read_text()) == told


def test_everything_belongs_to_root_and_nobody_else_may_write(packages: dict[str, Path]) -> None:
    for line in contents(packages["1.0.0"]):
        mode, owner = line.split()[:2]
        assert owner == "root/root"
        assert mode.startswith("l") or (mode[5] != "w" and mode[8] != "w"), line


def test_the_manual_page_has_every_command(packages: dict[str, Path], tmp_path: Path) -> None:
    subprocess.run(["dpkg-deb", "-x", str(packages["1.0.0"]), str(tmp_path)], check=True)
    page = (tmp_path / "usr/share/man/man1/chargepoint.1").read_text()
    completion = (tmp_path / "usr/share/bash-completion/completions/chargepoint").read_text()
    for name in ("run", "evse", "station", "sim", "check", "status", "why", "console", "provision", "update"):
        assert f".B {name}\n" in page
        assert f" {name} " in completion.replace('"', " ")
    bash = shutil.which("bash")
    if bash:
        done = subprocess.run([bash, "-n"], input=completion, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    man = shutil.which("man")
    if man:
        path = str(tmp_path / "usr/share/man/man1/chargepoint.1")
        done = subprocess.run([man, "--warnings", "-l", path], capture_output=True, text=True, check=False)
        assert "warning" not in done.stderr


class System:
    """A directory that dpkg takes for a system; the scripts run outside it and know it by DPKG_ROOT."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "var/lib/dpkg").mkdir(parents=True)
        (root / "var/lib/dpkg/status").touch()

    def dpkg(self, *words: str) -> None:
        done = subprocess.run(
            [
                *("dpkg", f"--root={self.root}", "--force-script-chrootless", "--force-depends", "--force-unsafe-io"),
                *words,
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def version(self) -> str:
        program = self.root / "opt/chargepoint/current/bin/chargepoint"
        done = subprocess.run([sys.executable, str(program), "--version"], capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).strip()

    def files(self) -> set[str]:
        return {
            str(path.relative_to(self.root))
            for path in self.root.rglob("*")
            if not path.is_dir() and "var/lib/dpkg" not in str(path) and "var/log" not in str(path)
        }


@pytest.fixture
def system(tmp_path: Path) -> System:
    if os.geteuid() != 0:
        pytest.skip("dpkg needs root, also for a directory")
    return System(tmp_path / "root")


def test_install_upgrade_downgrade_remove_and_purge(system: System, packages: dict[str, Path]) -> None:
    system.dpkg("-i", str(packages["1.0.0"]))
    assert system.version() == "chargepoint 1.0.0"
    etc, state = system.root / "etc/chargepoint", system.root / "var/lib/chargepoint"
    assert (etc / "chargepoint.toml").stat().st_mode & 0o777 == 0o640
    (etc / "chargepoint.toml").write_text("# ours\n")
    state.mkdir(parents=True)
    (state / "chargepoint.db").write_text("transactions")

    system.dpkg("-i", str(packages["1.1.0"]))
    assert system.version() == "chargepoint 1.1.0"
    assert (etc / "chargepoint.toml").read_text() == "# ours\n"
    # The version before is whole, for `chargepoint update switch`.
    assert (system.root / "opt/chargepoint/versions/1.0.0/lib/chargepoint/config.py").exists()

    system.dpkg("-i", str(packages["1.0.0"]))
    assert system.version() == "chargepoint 1.0.0"

    system.dpkg("-r", "chargepoint")
    assert system.files() == {"etc/chargepoint/chargepoint.toml", "var/lib/chargepoint/chargepoint.db"}
    system.dpkg("-i", str(packages["1.1.0"]))
    assert (state / "chargepoint.db").read_text() == "transactions"
    system.dpkg("-P", "chargepoint")
    assert system.files() == set()


# On an overlay of this very system: what it does with users, modes and units, without touching anything.
MOUNTS = """
set -e
mount -t tmpfs work /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay over -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root || { echo NO-OVERLAY; exit 0; }
mount -t proc proc /mnt/root/proc
mount -t tmpfs run /mnt/root/run
mount --bind /dev /mnt/root/dev
"""
OVERLAY = (
    MOUNTS
    + """
cat "$1" >/mnt/root/root/chargepoint.deb
for folder in $2; do mkdir -p "/mnt/root/$folder"; mount -t tmpfs data "/mnt/root/$folder"; done
ln -s /dev/null /mnt/root/etc/systemd/system/chargepoint-station.service # masked by who set up the machine
exec chroot /mnt/root sh -c '
enabled() { find /etc/systemd/system -name "chargepoint*" -path "*.wants/*" -printf "%f "; echo; }
dpkg -i --no-triggers --force-unsafe-io --force-depends /root/chargepoint.deb >/dev/null 2>&1 || echo INSTALL-FAILED
chargepoint --version
id -nG chargepoint-evse
id -nG chargepoint
stat -c "%U:%G %a %n" /etc/chargepoint /etc/chargepoint/chargepoint.toml /var/lib/chargepoint /run/chargepoint
chargepoint check >/dev/null && echo CHECKED
enabled | tr " " "\\n" | sort | tr "\\n" " "; echo
dpkg -P --no-triggers --force-unsafe-io chargepoint >/dev/null 2>&1 || echo PURGE-FAILED
enabled
find /opt/chargepoint /etc/chargepoint /var/lib/chargepoint /usr/bin/chargepoint 2>/dev/null
getent passwd chargepoint chargepoint-evse chargepoint-console
getent group chargepoint chargepoint-pins chargepoint-serial
echo END'
"""
)


def overlaid(script: str, *words: str) -> str:
    """What a script says that begins with MOUNTS."""
    if os.geteuid() != 0:
        pytest.skip("an overlay of this system needs root")
    if "bookworm" not in Path("/etc/os-release").read_text():
        pytest.skip("the package tried here is for Bookworm")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if "NO-OVERLAY" in done.stdout or not done.stdout:
        pytest.skip(f"no overlay can be mounted here: {done.stderr.strip()[-200:]}")
    return done.stdout


@pytest.mark.skipif(shutil.which("unshare") is None or shutil.which("systemd-sysusers") is None, reason="no systemd")
@pytest.mark.parametrize(
    "mounts",
    [
        pytest.param((), id="all on the card"),
        pytest.param(("/opt/chargepoint", "/etc/chargepoint", "/var/lib/chargepoint"), id="read-only root"),
    ],
)
def test_it_installs_on_a_debian_with_its_users_and_is_gone_when_purged(
    packages: dict[str, Path], mounts: tuple[str, ...]
) -> None:
    assert overlaid(OVERLAY, str(packages["1.0.0"]), " ".join(mounts)).splitlines() == [
        "chargepoint 1.0.0",
        "chargepoint chargepoint-pins",
        "chargepoint chargepoint-serial",
        "root:chargepoint 750 /etc/chargepoint",
        "root:chargepoint 640 /etc/chargepoint/chargepoint.toml",
        "chargepoint:chargepoint 2770 /var/lib/chargepoint",
        "chargepoint:chargepoint 2770 /run/chargepoint",
        "CHECKED",
        " chargepoint-errands.path chargepoint-evse.service chargepoint-first-boot.service chargepoint-trial.path "
        "chargepoint-trial.service chargepoint-update.path chargepoint.target ",
        "",
        *mounts,  # empty: a mount point cannot be taken away
        "END",
    ]


# The same, as if systemd ran: what it is asked is written down.
ASKED = (
    MOUNTS
    + """
cat "$1" >/mnt/root/root/older.deb
cat "$2" >/mnt/root/root/newer.deb
mkdir -p /mnt/root/run/systemd/system
cat >/mnt/root/usr/local/sbin/systemctl <<'END'
#!/bin/sh
case "$*" in
  *preset* | *is-enabled*) SYSTEMD_OFFLINE=1 exec /usr/bin/systemctl "$@" ;;
  *start*) echo "$@" >>/root/asked ;;
esac
END
chmod 755 /mnt/root/usr/local/sbin/systemctl
exec chroot /mnt/root sh -c '
install() {
  : >/root/asked
  dpkg -i --no-triggers --force-unsafe-io --force-depends "/root/$1.deb" >/dev/null 2>&1 || echo INSTALL-FAILED
  echo "$2: $(cat /root/asked)"
}
install older first
mv /opt/chargepoint/versions/1.0.0 /opt/chargepoint/versions/9.0.0
ln -sfn versions/9.0.0 /opt/chargepoint/current
install newer "beside a newer one"
install older "asked for"
rm /etc/systemd/system/multi-user.target.wants/chargepoint.target
install newer disabled'
"""
)


@pytest.mark.skipif(shutil.which("unshare") is None or shutil.which("systemd-sysusers") is None, reason="no systemd")
def test_services_start_anew_with_what_was_switched_to_and_cars_go_on_with_what_stays(
    packages: dict[str, Path],
) -> None:
    services = "chargepoint.target chargepoint-evse.service chargepoint-station.service"
    assert overlaid(ASKED, str(packages["1.0.0"]), str(packages["1.1.0"])).splitlines() == [
        f"first: restart {services}",
        "beside a newer one: ",
        f"asked for: restart {services}",
        f"disabled: try-restart {services}",
    ]


def test_the_default_configuration_is_right() -> None:
    from chargepoint.config_check import load

    config = load(ROOT / "packaging/default.toml")
    assert not config.simulated
    assert config.ocpp.url == ""
