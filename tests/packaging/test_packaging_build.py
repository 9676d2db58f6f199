"""What a build is called, and what it takes in, depend on the commit and the target alone."""

import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
from packaging.markers import default_environment

from chargepoint.update import slots
from chargepoint.update.bundle import version_key

ROOT = Path(__file__).parents[2]
ELSEWHERE = dict.fromkeys(default_environment(), "elsewhere")
"""A builder of which nothing may show."""


class Repository:
    """Commits of a source that says it is 0.1.0."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "src/chargepoint").mkdir(parents=True)
        (root / "src/chargepoint/__init__.py").write_text('__version__ = "0.1.0"\n')
        self.git("init", "-q")
        self.git("add", ".")

    def git(self, *words: str) -> str:
        who = {f"GIT_{role}_{what}": "engineer" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        env = {**os.environ, **who, "GIT_CONFIG_GLOBAL": "/dev/null"}
        done = subprocess.run(["git", *words], cwd=self.root, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, tag: str = "") -> str:
        self.git("commit", "-q", "--allow-empty", "-m", "Change it")
        if tag:
            self.git("tag", tag)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    return Repository(tmp_path / "source")


def test_a_build_has_the_version_of_the_commit_that_is_built(build: ModuleType, repository: Repository) -> None:
    repository.commit("v1.0.0")
    between = repository.commit()
    repository.commit("v1.1.0")
    assert build.version_of("v1.0.0", repository.root) == "1.0.0"
    assert build.version_of(between, repository.root) == f"1.0.0+1.g{between[:10]}"
    assert build.version_of("HEAD", repository.root) == "1.1.0"


def test_without_a_tag_each_build_has_a_version_of_its_own(build: ModuleType, repository: Repository) -> None:
    repository.commit()
    second = repository.commit()
    assert build.version_of(second, repository.root) == f"0.1.0~2.g{second[:10]}"


def test_every_build_is_newer_than_the_one_before_for_an_update_and_for_debian(
    build: ModuleType, repository: Repository
) -> None:
    tags = {12: "v0.1.0", 14: "v0.2.0-rc1", 16: "v0.2.0-rc2", 18: "v0.2.0"}
    commits = [repository.commit(tags.get(n, "")) for n in range(1, 20)]
    versions = [build.version_of(commit, repository.root) for commit in commits]
    assert all(slots._VERSION.fullmatch(version) for version in versions)
    assert sorted(versions, key=version_key) == versions
    assert len({version_key(version) for version in versions}) == len(versions)
    if shutil.which("dpkg"):
        for older, newer in pairwise(versions):
            subprocess.run(["dpkg", "--compare-versions", older, "lt", newer], check=True)


def test_what_is_no_version_or_cannot_be_counted_is_refused(
    build: ModuleType, repository: Repository, tmp_path: Path
) -> None:
    repository.commit()
    repository.commit()
    with pytest.raises(build.BuildError, match="nowhere"):
        build.version_of("nowhere", repository.root)
    repository.git("clone", "-q", "--depth", "1", f"file://{repository.root}", str(tmp_path / "shallow"))
    with pytest.raises(build.BuildError, match="git fetch --unshallow"):
        build.version_of("HEAD", tmp_path / "shallow")
    repository.git("tag", "v1_0")
    with pytest.raises(build.BuildError, match="'1_0' is not a version"):
        build.version_of("HEAD", repository.root)


def test_the_version_is_the_one_of_the_commit_that_the_command_names(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    monkeypatch.setattr(build, "version_of", {"v1.0.0": "1.0.0", "HEAD": "1.1.0"}.__getitem__)
    monkeypatch.setattr(build, "build", lambda job, key: f"{job.commit} {job.version}")
    monkeypatch.setattr(sys, "argv", ["build", "--commit", "v1.0.0"])
    assert build.main() == 0
    assert capsys.readouterr().out == "v1.0.0 1.0.0\n"
    monkeypatch.setattr(sys, "argv", ["build", "--version", "1_0"])
    assert build.main() == 1
    assert "--version" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is not installed")
def test_apt_sees_an_upgrade_from_one_suite_to_the_next_and_from_one_version_to_the_next(
    build: ModuleType, tmp_path: Path
) -> None:
    order = [
        build.Job(suite, "arm64", version, 0, tmp_path, None).debian_version
        for version in ("0.1.0~9.gab", "0.1.0~10.ga1", "0.1.0", "0.1.0+1.gab", "0.2.0~rc1", "0.2.0~rc1+2.gab", "0.2.0")
        for suite in ("bookworm", "trixie")
    ]
    for older, newer in pairwise(order):
        subprocess.run(["dpkg", "--compare-versions", older, "lt", newer], check=True)


@pytest.mark.parametrize(
    ("suite", "arch", "names"),
    [
        ("bookworm", "arm64", ["msgspec", "lgpio", "typing-extensions", "six"]),
        ("trixie", "arm64", ["msgspec", "six"]),
        ("trixie", "amd64", ["msgspec", "six", "intel"]),
    ],
)
def test_what_is_fetched_depends_on_the_target_and_not_on_the_builder(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch, suite: str, arch: str, names: list[str]
) -> None:
    lock = """# Made from pyproject.toml.
msgspec==0.22.0 ; platform_python_implementation != 'PyPy' \\
    --hash=sha256:aa \\
    --hash=sha256:bb
lgpio==0.2.2.0 ; python_full_version < '3.13' \\
    --hash=sha256:cc
typing-extensions==4.16.0 ; python_full_version < '3.13' \\
    --hash=sha256:dd
six==1.17.0 \\
    --hash=sha256:ee
intel==1.0 ; platform_machine == 'x86_64' and sys_platform == 'linux' \\
    --hash=sha256:ff
windows==1.0 ; sys_platform == 'win32' \\
    --hash=sha256:00
"""
    for builder in ({"python_full_version": "3.14.1", "python_version": "3.14"}, {"platform_machine": "riscv64"}):
        monkeypatch.setattr("packaging.markers.default_environment", lambda builder=builder: {**ELSEWHERE, **builder})
        text = build.wanted(lock, suite, arch)
        assert [line.split("==")[0] for line in text.splitlines() if "==" in line] == names
        assert ";" not in text
    assert text.startswith("msgspec==0.22.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n")


def test_every_line_of_the_lock_file_is_understood(build: ModuleType) -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    older, newer = build.wanted(lock, "bookworm", "arm64"), build.wanted(lock, "trixie", "arm64")
    assert older.count("==") == lock.count("==")
    assert newer.count("==") == older.count("==") - 2  # lgpio, typing-extensions
    assert older.count("--hash=") > 100
