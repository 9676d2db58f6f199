"""The software bill of materials: CycloneDX 1.5 JSON of what is shipped, from the lock file.

`python packaging/sbom.py [OUT [VERSION [LIB]]]`, the version being the source's own unless it is said. Licences are
those that the packages laid out in LIB tell. The same lock file and LIB give the same bytes: no time and no random
number in it, and nothing of who makes it.
"""

import json
import re
import sys
import uuid
from email.message import Message
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/chargepoint")


def locked(text: str) -> list[tuple[str, str, list[str]]]:
    """Name, version and SHA-256 of every allowed file, in order of name."""
    found = []
    for block in re.split(r"\n(?=[A-Za-z])", text):
        match = re.match(r"([A-Za-z0-9._-]+)==([^\s;\\]+)", block)
        if match is not None:
            found.append((match[1].lower(), match[2], re.findall(r"--hash=sha256:([0-9a-f]{64})", block)))
    return sorted(found)


def told(lib: Path | None) -> dict[str, Message]:
    """What the packages laid out in a folder say of themselves, by name."""
    found = metadata.distributions(path=[str(lib)]) if lib is not None else ()
    return {re.sub(r"[-_.]+", "-", each.metadata["Name"]).lower(): each.metadata for each in found}


def licence(about: Message | None) -> list[dict[str, dict[str, str]]]:
    """Of one package; nothing when it is not laid out, as the one that comes from apt."""
    if about is None:
        return []
    text = next((about[field] for field in ("License-Expression", "License") if field in about), "")
    if not text or "\n" in text:
        named = [c.rpartition(":: ")[2] for c in about.get_all("Classifier") or [] if c.startswith("License")]
        text = named[0] if named else ""
    return [{"license": {"name": text}}] if text else []


def bill(version: str, text: str, lib: Path | None = None) -> dict[str, object]:
    """The document."""
    packages = told(lib)
    components = []
    for name, release, hashes in locked(text):
        purl = f"pkg:pypi/{name}@{release}"
        component: dict[str, object] = {
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": release,
            "purl": purl,
            # One package has a file per architecture and Python; each that may be shipped is named.
            "properties": [{"name": "chargepoint:sha256", "value": value} for value in sorted(hashes)],
        }
        licences = licence(packages.get(name))
        if licences:
            component["licenses"] = licences
        components.append(component)
    own = f"pkg:generic/chargepoint@{version}"
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, version + text)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": "chargepoint",
                "version": version,
                "purl": own,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": components,
        "dependencies": [{"ref": own, "dependsOn": [component["bom-ref"] for component in components]}],
    }


def version_of_source() -> str:
    source = (ROOT / "src/chargepoint/__init__.py").read_text(encoding="utf-8")
    match = re.search(r'__version__ = "([^"]+)"', source)
    return match[1] if match else "0"


def main() -> None:
    version = sys.argv[2] if len(sys.argv) > 2 else version_of_source()
    lib = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    text = json.dumps(bill(version, LOCK.read_text(encoding="utf-8"), lib), indent=2) + "\n"
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
