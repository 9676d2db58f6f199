"""A list of two bornes, the office's desk and a new borne."""

from pathlib import Path

from chargepoint.provision import command

HEAD = "serial,commune,identity,evse_ids,supply_a,phases,sockets,meters\n"
GOOD = (
    "ARD-0001,Sedan,FR-ARD-0001,FR*ARD*E0001*1 FR*ARD*E0001*2,52,3,T2+EF T2,eastron-sdm630:1 eastron-sdm630:2\n"
    'ARD-0002,"Charleville-Mézières, gare",FR-ARD-0002,FR*ARD*E0002,32,1,cable,eastron-sdm230:1\n'
)


def listed(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "fleet.csv"
    path.write_text(text, encoding="utf-8")
    return path


def make(tmp_path: Path, *words: str) -> int:
    return command.main(
        [
            *("make", str(listed(tmp_path, HEAD + GOOD)), str(tmp_path / "out")),
            *("--key", str(tmp_path / "keys/signing.key"), "--url", "wss://csms.example/ocpp"),
            *("--operator", "Ardenne Métropole", "--label-url", "https://charge.example/{evse_id}", *words),
        ],
        tmp_path,
    )


def borne(tmp_path: Path) -> Path:
    etc = tmp_path / "etc"
    (etc / "trusted-keys").mkdir(parents=True)
    (tmp_path / "keys/signing.pem").rename(etc / "trusted-keys/office.pem")
    return etc
