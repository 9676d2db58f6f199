"""Transactions that the meter signs."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from station_harness import Harness, station


@dataclass
class Text:
    text: str


class FakeSigner:
    def __init__(self, signs: bool) -> None:
        self.signs = signs
        self.begun: list[tuple[int, str]] = []

    async def begin(self, evse: int, token: str, utc: float) -> bool:
        self.begun.append((evse, token))
        return self.signs

    async def end(self, evse: int) -> Text | None:
        return Text("OCMF|{}|{}") if self.signs else None


@pytest.mark.parametrize("signs", [True, False])
def test_the_signature_of_the_meter_is_among_the_last_values(tmp_path: Path, signs: bool) -> None:
    signer = FakeSigner(signs)

    def attach(h: Harness) -> None:
        h.station.attach(h.backend, h.meters, signer=signer)

    async def main() -> None:
        async with station(tmp_path, prepare=attach) as h:
            await h.charge("TAG")
            assert signer.begun == [(1, "TAG")]
            h.advance(60, wh=100)
            h.badge("TAG")
            await h.until_status("Finishing")
            ended = (await h.entries())[-1]
        assert ended.kind == "ended"
        values = [v for sample in ended.payload["data"] for v in sample["values"]]
        signed = [v for v in values if v.get("format") == "SignedData"]
        assert [v["value"] for v in signed] == (["OCMF|{}|{}"] if signs else [])
        assert all(v["context"] == "Transaction.End" for v in signed)

    asyncio.run(main())
