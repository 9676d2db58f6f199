"""Builds the Debian package: one command, the same bytes for the same commit.

The package brings one version as a folder (`lib/` with every Python package of `requirements.lock`, `bin/chargepoint`),
laid below /usr/lib/chargepoint/versions; its scripts lay it below /opt/chargepoint/versions as a signed update would.
Needs the project's environment, git and dpkg-deb; wheels for another architecture are fetched, not built.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PYTHON = {"bookworm": "3.11", "trixie": "3.13"}
REVISION = {"bookworm": "1~deb12", "trixie": "1~deb13"}
"""Of the Debian version alone: both suites are built from one commit, and apt must see the second as newer."""
MACHINE = {"arm64": "aarch64", "amd64": "x86_64"}
GLIBC = ("2014", "_2_17", "_2_28", "_2_34")
"""manylinux tags that both suites (glibc 2.36 and 2.41) can run."""
LGPIO = {"bookworm": "", "trixie": "python3-lgpio, "}
"""From apt where there is no wheel for the Python. Debian 12 has no such package, but there is a wheel."""

VERSION = re.compile(r"[0-9][0-9A-Za-z.+~-]{0,40}")
"""What the borne's `update` takes."""


class BuildError(Exception):
    """The package cannot be built; the text says which tool said what."""


@dataclass(frozen=True)
class Job:
    """One package to build."""

    suite: str
    arch: str
    version: str
    epoch: int
    out: Path
    lib: Path | None
    commit: str = "HEAD"
    compression: str = "xz"

    @property
    def debian_version(self) -> str:
        """A revision, not a part of the version: else 1.4.0~deb12 would be older than 1.4.0~rc1~deb12."""
        return f"{self.version}-{REVISION[self.suite]}"

    @property
    def package(self) -> Path:
        return self.out / f"chargepoint_{self.version}_{self.suite}_{self.arch}.deb"


def run(*command: str, env: dict[str, str] | None = None, cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=env)
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command[:4])} ... failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def source(job: Job, folder: Path) -> Path:
    """The commit's files, whatever lies changed in the working copy."""
    folder.mkdir()
    archive = folder / "source.tar"
    run("git", "archive", "--output", str(archive), job.commit)
    with tarfile.open(archive) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # Debian 12 has a Python without filters
        tar.extractall(folder)
    archive.unlink()
    return folder


def version_of(commit: str, root: Path = ROOT) -> str:
    """From the tag vX.Y.Z; between tags X.Y.Z+N.gCOMMIT; without a tag X.Y.Z~N.gCOMMIT, of the source's own version.

    N counts commits, so that each build is newer than the one before, and a `~` comes before the release: for an
    update (`version_key`) as for Debian. A tag like v1.5.0-rc1 is 1.5.0~rc1 for the same reason.
    """
    # Its length is said: by itself it would depend on how much else the repository holds.
    words = ("describe", "--tags", "--long", "--abbrev=10", "--match", "v[0-9]*", commit)
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        tag, count, name = done.stdout.strip().removeprefix("v").rsplit("-", 2)
        tag = tag.replace("-", "~")
        return checked(tag if count == "0" else f"{tag}+{count}.{name}")
    if run("git", "rev-parse", "--is-shallow-repository", cwd=root).strip() == "true":
        raise BuildError(
            "this clone has only a part of the history, so its commits cannot be counted; git fetch --unshallow"
        )
    source = run("git", "show", f"{commit}:src/chargepoint/__init__.py", cwd=root)
    base = re.search(r'__version__ = "([^"]+)"', source)
    if base is None:
        raise BuildError("src/chargepoint/__init__.py names no __version__")
    count = run("git", "rev-list", "--count", commit, cwd=root).strip()
    name = run("git", "rev-parse", "--short=10", commit, cwd=root).strip()
    return checked(f"{base[1]}~{count}.g{name}")


def checked(version: str) -> str:
    """The version, when a borne takes it as the name of a folder."""
    if not VERSION.fullmatch(version):
        raise BuildError(f"{version!r} is not a version, like 1.4.0: see the tag, or say another one with --version")
    return version


def epoch_of(commit: str) -> int:
    """SOURCE_DATE_EPOCH, or the time of the commit."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return int(given) if given else int(run("git", "log", "-1", "--format=%ct", commit).strip())


def wanted(lock: str, suite: str, arch: str) -> str:
    """What of the lock file the target needs, without markers: pip would judge them for the Python that it runs on."""
    python = PYTHON[suite]
    target = {
        **{"python_version": python, "python_full_version": f"{python}.0", "implementation_version": f"{python}.0"},
        **{"implementation_name": "cpython", "platform_python_implementation": "CPython", "os_name": "posix"},
        **{"sys_platform": "linux", "platform_system": "Linux", "platform_machine": MACHINE[arch]},
        **{"platform_release": "", "platform_version": ""},
    }
    found = []
    for block in re.split(r"\n(?=[A-Za-z])", lock):
        if block.startswith("#"):
            continue
        first, backslash, hashes = block.partition("\\\n")
        requirement = Requirement(first)
        if requirement.marker is None or requirement.marker.evaluate(target):
            found.append(f"{requirement.name}{requirement.specifier} {backslash}{hashes}")
    return "\n".join(found)


def fetch(job: Job, lock_file: Path, lib: Path) -> None:
    """Every package of the lock file for the target, by its hashes."""
    python = PYTHON[job.suite]
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as requirements:
        requirements.write(wanted(lock_file.read_text(encoding="utf-8"), job.suite, job.arch))
        requirements.flush()
        tags = [f"--platform=manylinux{glibc}_{MACHINE[job.arch]}" for glibc in GLIBC]
        abis = [f"--abi={abi}" for abi in (f"cp{python.replace('.', '')}", "abi3", "none")]
        run(
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(lib)),
            *("--no-deps", "--no-compile", "--require-hashes", "--only-binary=:all:", "--implementation=cp"),
            *(f"--python-version={python}", *tags, *abis, "-r", requirements.name),
        )
    # Console scripts would name the builder's interpreter, and RECORD the order in which pip worked.
    shutil.rmtree(lib / "bin", ignore_errors=True)
    for record in lib.glob("*.dist-info/RECORD"):
        record.unlink()
    for left in ("REQUESTED", "direct_url.json", "INSTALLER"):
        for file in lib.glob(f"*.dist-info/{left}"):
            file.unlink()


def lay_version(job: Job, tree: Path, folder: Path) -> None:
    """`bin/` and `lib/` of one version."""
    lib = folder / "lib"
    if job.lib is not None:
        shutil.copytree(job.lib, lib)
    else:
        lib.mkdir(parents=True)
        fetch(job, tree / "requirements.lock", lib)
    shutil.copytree(tree / "src" / "chargepoint", lib / "chargepoint")
    source = lib / "chargepoint" / "__init__.py"
    text = re.sub(r'__version__ = "[^"]+"', f'__version__ = "{job.version}"', source.read_text(encoding="utf-8"))
    source.write_text(text, encoding="utf-8")
    info = lib / f"chargepoint-{job.version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: chargepoint\nVersion: {job.version}\n", encoding="utf-8"
    )
    program = folder / "bin" / "chargepoint"
    program.parent.mkdir(parents=True)
    program.write_text((tree / "packaging/launcher.py").read_text(encoding="utf-8"), encoding="utf-8")
    program.chmod(0o755)


def lay_tree(job: Job, source: Path, tree: Path) -> Path:
    """Everything the package installs. Answers the version's folder."""
    version = tree / "usr/lib/chargepoint/versions" / job.version
    lay_version(job, source, version)
    for file in sorted((source / "systemd").iterdir()):
        if file.suffix in (".service", ".target", ".path"):
            put(file, tree / "lib/systemd/system" / file.name)
    put(source / "systemd/chargepoint.sysusers", tree / "usr/lib/sysusers.d/chargepoint.conf")
    put(source / "systemd/chargepoint.tmpfiles", tree / "usr/lib/tmpfiles.d/chargepoint.conf")
    for folder in (tree / "usr/lib/chargepoint", version):  # what there is, and what the version needs
        put(source / "systemd/units-number", folder / "units-number")
    put(source / "systemd/pilots-safe", tree / "usr/lib/chargepoint/pilots-safe", 0o755)
    put(source / "hardware/pi/61-chargepoint.rules", tree / "lib/udev/rules.d/61-chargepoint.rules")
    put(source / "packaging/default.toml", tree / "usr/share/chargepoint/default.toml")
    put(source / "config/chargepoint.toml", tree / "usr/share/doc/chargepoint/examples/chargepoint.toml")
    put(source / "CHANGELOG.md", tree / "usr/share/doc/chargepoint/changelog")
    run(
        sys.executable, str(source / "packaging/sbom.py"), str(version / "sbom.json"), job.version, str(version / "lib")
    )
    put(version / "sbom.json", tree / "usr/share/doc/chargepoint/sbom.json")
    put(source / "LICENSE", tree / "usr/share/doc/chargepoint/copyright")
    for file in sorted((source / "hardware/pi").iterdir()):
        put(file, tree / "usr/share/chargepoint/pi" / file.name, 0o755 if os.access(file, os.X_OK) else 0o644)
    link = tree / "usr/bin/chargepoint"
    link.parent.mkdir(parents=True)
    link.symlink_to("/opt/chargepoint/current/bin/chargepoint")
    write_pages(source, version, tree)
    return version


def write_pages(source: Path, version: Path, tree: Path) -> None:
    """Manual page and completion, made from the command line's own parser."""
    # The parser is the source's: the target's compiled packages may not run here.
    env = {**os.environ, "PYTHONPATH": str(source / "src")}
    pages = tree / "usr/share/man/man1/chargepoint.1", tree / "usr/share/bash-completion/completions/chargepoint"
    for page in pages:
        page.parent.mkdir(parents=True, exist_ok=True)
    run(sys.executable, str(source / "packaging/pages.py"), *map(str, pages), version.name, env=env)


def put(file: Path, target: Path, mode: int = 0o644) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)
    target.chmod(mode)


def maintainer_script(source: Path, name: str, version: str) -> str:
    """With what it cannot know: the version, and the units that are enabled when the package comes."""
    units = [file.name for file in sorted((source / "systemd").iterdir()) if "@" not in file.name]
    enabled = [unit for unit in units if "\n[Install]\n" in (source / "systemd" / unit).read_text(encoding="utf-8")]
    text = (source / "packaging/debian" / name).read_text(encoding="utf-8")
    return text.replace("@VERSION@", version).replace("@UNITS@", " ".join(enabled))


def write_control(job: Job, source: Path, tree: Path) -> None:
    """DEBIAN/: control and the maintainer's scripts."""
    debian = tree / "DEBIAN"
    debian.mkdir()
    python = PYTHON[job.suite]
    following = f"3.{int(python.split('.')[1]) + 1}"
    size = sum(path.lstat().st_size for path in tree.rglob("*") if path.is_file()) // 1024
    (debian / "control").write_text(
        f"""Package: chargepoint
Version: {job.debian_version}
Architecture: {job.arch}
Maintainer: chargepoint maintainers <maintainers@chargepoint.invalid>
Installed-Size: {size}
Depends: python3 (>= {python}~), python3 (<< {following}~), systemd
Recommends: {LGPIO[job.suite]}systemd-timesyncd, python3-pil, fonts-dejavu-core, device-tree-compiler, fdisk
Section: misc
Priority: optional
Description: controller of a public two-point AC charging station
 Safety process for IEC 61851-1, OCPP, metering, badges and a technician's
 console, for a Raspberry Pi with the carrier board.
""",
        encoding="utf-8",
    )
    for script in ("postinst", "prerm", "postrm"):
        (debian / script).write_text(maintainer_script(source, script, job.version), encoding="utf-8")
        (debian / script).chmod(0o755)


def set_times(tree: Path, epoch: int) -> None:
    """One time and known modes on everything: what the builder's umask and clock say must not show."""
    for path in sorted([*tree.rglob("*"), tree]):
        if not path.is_symlink():
            runs = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if runs else 0o644)
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def build(job: Job, key: Path | None = None) -> Path:
    """The package; with a key, a signed update bundle of the same version beside it."""
    job.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="chargepoint-build-") as work:
        files, tree = source(job, Path(work) / "source"), Path(work) / "tree"
        tree.mkdir()
        version = lay_tree(job, files, tree)
        if key is not None:
            out = job.package.with_suffix(".bundle")
            env = {**os.environ, "PYTHONPATH": str(files / "src")}
            sign = ("-m", "chargepoint.console.cli", "update", "sign", str(version), job.version, str(out))
            run(sys.executable, *sign, "--key", str(key.absolute()), env=env)
        write_control(job, files, tree)
        set_times(tree, job.epoch)
        env = {**os.environ, "SOURCE_DATE_EPOCH": str(job.epoch)}
        run("dpkg-deb", "--root-owner-group", f"-Z{job.compression}", "--build", str(tree), str(job.package), env=env)
    return job.package


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the Debian package of one suite and architecture.")
    parser.add_argument("--suite", choices=tuple(PYTHON), default="bookworm")
    parser.add_argument("--arch", choices=tuple(MACHINE), default="arm64")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--version", help="instead of the one git tells")
    parser.add_argument("--lib", type=Path, help="folder with the Python packages, instead of fetching them")
    parser.add_argument("--commit", default="HEAD", help="what to build; default the last commit")
    parser.add_argument("--compression", choices=("xz", "zstd", "gzip", "none"), default="xz")
    parser.add_argument("--key", type=Path, help="also make a signed update bundle with this key")
    arguments = parser.parse_args()
    try:
        version = checked(arguments.version) if arguments.version else version_of(arguments.commit)
        epoch = epoch_of(arguments.commit)
        job = Job(
            arguments.suite,
            arguments.arch,
            version,
            epoch,
            arguments.out,
            arguments.lib,
            arguments.commit,
            arguments.compression,
        )
        print(build(job, arguments.key))
    except BuildError as error:
        print(f"packaging/build: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
