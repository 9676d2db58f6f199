"""The bill of materials names everything that is shipped."""

import json
import re
import sysconfig
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_every_locked_package_is_named_with_version_and_hashes(sbom: ModuleType) -> None:
    document = sbom.bill("1.0.0", LOCK)
    named = {(c["name"], c["version"]) for c in document["components"]}
    assert named == {(name.lower(), version) for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", LOCK, re.M)}
    assert all(component["properties"] for component in document["components"])


def test_every_reference_leads_to_a_component(sbom: ModuleType) -> None:
    document = sbom.bill("1.0.0", LOCK)
    refs = {component["bom-ref"] for component in document["components"]}
    assert set(document["dependencies"][0]["dependsOn"]) == refs
    assert document["bomFormat"] == "CycloneDX"


def test_the_same_lock_file_gives_the_same_document(sbom: ModuleType) -> None:
    assert json.dumps(sbom.bill("1.0.0", LOCK)) == json.dumps(sbom.bill("1.0.0", LOCK))
    assert sbom.bill("1.0.1", LOCK)["serialNumber"] != sbom.bill("1.0.0", LOCK)["serialNumber"]


def test_the_direct_dependencies_have_their_licence(sbom: ModuleType) -> None:
    components = {c["name"]: c for c in sbom.bill("1.0.0", LOCK, Path(sysconfig.get_path("purelib")))["components"]}
    for name in ("ocpp", "websockets", "pymodbus", "transitions", "msgspec"):
        assert components[name]["licenses"], name


def test_licences_are_those_of_what_is_shipped_and_not_of_what_the_builder_has(
    sbom: ModuleType, tmp_path: Path
) -> None:
    info = tmp_path / "typing_extensions-4.16.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: typing_extensions\nLicense-Expression: PSF-of-the-lib\n"
    )
    components = {c["name"]: c for c in sbom.bill("1.0.0", LOCK, tmp_path)["components"]}
    assert components["typing-extensions"]["licenses"] == [{"license": {"name": "PSF-of-the-lib"}}]
    assert "licenses" not in components["msgspec"]
