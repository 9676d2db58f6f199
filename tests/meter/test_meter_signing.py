"""Signed data of an Iskra WM3M4C: the text, the signature and the conversation on the wire."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.config import MeterRef
from chargepoint.config_check import parse
from chargepoint.meter.bus import MeterBus
from chargepoint.meter.iskra import IskraSigner, SigningFailed
from chargepoint.meter.ocmf import BadSignature, SignedData, Station, dataset, repair_signature
from chargepoint.meter.signing import build_signing
from chargepoint.sim.wire_meters import SimMeter, SimMeterBus, SimReading

STATION = Station("Nexans", "ARD-0001", "0.1.0")
TOKEN = "04A1B2C3D4E5F6"


def test_the_data_set_has_the_meters_order_and_no_spaces():
    text = dataset(STATION, TOKEN, "FR*ARD*E0001*1")
    assert "".join(json.loads(text)) == "FVGIGSPGMVMMMSMFISIFITIDCFCTCIRD"
    assert text.startswith('{"FV":"1.0","GI":"Nexans","GS":"ARD-0001","PG":""')
    assert '"IS":true,"IF":["RFID_PLAIN"],"IT":"ISO14443","ID":"04A1B2C3D4E5F6"' in text


def test_no_text_of_ours_can_end_the_payload_early_or_overfill_the_meter():
    assert "|" not in dataset(Station("A|B", "C", "D"), "1|2", "X|Y")
    with pytest.raises(ValueError, match="1024"):
        dataset(Station("x" * 1000, "C", "D"), TOKEN, "E")


def test_an_ocmf_string_has_three_parts():
    signed = SignedData('{"FV":"1.0"}', bytes.fromhex("3006020101020102"), b"")
    assert signed.text == 'OCMF|{"FV":"1.0"}|{"SD":"3006020101020102"}'


R, S = "5d226c5f20ebebfd", "6a9b5ad6da8a3234"


@pytest.mark.parametrize(
    ("raw", "repaired"),
    [
        (f"30140208{R}0208{S}", f"30140208{R}0208{S}"),
        (f"30150209 00{R}0208{S}", f"30140208{R}0208{S}"),
        (f"30160208{R}020a 0000{S}", f"30140208{R}0208{S}"),
        # A zero that keeps the number positive stays.
        ("3008020300802202 0122", "3008020300802202 0122"),
    ],
)
def test_needless_zeros_leave_the_signature(raw, repaired):
    assert repair_signature(bytes.fromhex(raw)) == bytes.fromhex(repaired)


@pytest.mark.parametrize("raw", ["", "304402", "3006020101030102", "3003020101", "30080201010201020201"])
def test_what_is_no_signature_is_refused(raw):
    with pytest.raises(BadSignature):
        repair_signature(bytes.fromhex(raw))


@given(st.binary(max_size=80))
def test_repairing_never_fails_in_another_way(raw):
    try:
        repaired = repair_signature(raw)
    except BadSignature:
        return
    assert repair_signature(repaired) == repaired


class Told:
    def __init__(self):
        self.readings = []

    def meter_read(self, evse, reading):
        self.readings.append(reading)

    def meter_lost(self, evse, why):
        raise AssertionError(why)

    def meter_found(self, evse):
        pass


@asynccontextmanager
async def iskra(tmp_path, wh):
    meter = SimMeter("iskra-wm3m4c", lambda: SimReading(energy_wh=wh[0]))
    sim = SimMeterBus(tmp_path / "m", {0x21: meter})
    await sim.start()
    told = Told()
    ref = MeterRef(model="iskra-wm3m4c", unit=0x21)
    bus = MeterBus(str(tmp_path / "m"), 115200, "N", 0.05, {1: ref}, told)
    task = asyncio.create_task(bus.run())
    try:
        yield meter, bus, told
    finally:
        task.cancel()
        await asyncio.wait([task])
        await sim.close()


def begin(bus, text):
    return bus.exclusive(1, lambda link, unit: IskraSigner(link, unit).begin(text, 1_700_000_000, 60))


def end(bus):
    return bus.exclusive(1, lambda link, unit: IskraSigner(link, unit).end())


@pytest.mark.asyncio
async def test_a_transaction_is_signed_and_its_signature_verifies(tmp_path):
    wh = [10_000.0]
    async with iskra(tmp_path, wh) as (_, bus, told):
        await begin(bus, dataset(STATION, TOKEN, "FR*ARD*E0001*1"))
        wh[0] = 17_400.0
        signed = await end(bus)
        assert told.readings, "the meter is read beside"
    payload = json.loads(signed.payload)
    assert payload["ID"] == TOKEN and [r["RV"] for r in payload["RD"]] == ["10.000", "17.400"]
    key = load_der_public_key(signed.public_key)
    key.verify(signed.signature, signed.payload.encode(), ec.ECDSA(hashes.SHA256()))
    assert signed.text.startswith("OCMF|{") and signed.text.count("|") == 2


@pytest.mark.asyncio
async def test_a_transaction_left_over_is_ended_before_the_next(tmp_path):
    async with iskra(tmp_path, [0.0]) as (_, bus, _told):
        await begin(bus, dataset(STATION, "AAAAAAAA", "X"))
        await begin(bus, dataset(STATION, "BBBBBBBB", "X"))
        assert json.loads((await end(bus)).payload)["ID"] == "BBBBBBBB"
        with pytest.raises(SigningFailed, match="no transaction"):
            await end(bus)


@pytest.mark.asyncio
async def test_a_meter_that_does_not_sign_says_why(tmp_path):
    async with iskra(tmp_path, [0.0]) as (meter, bus, _told):
        meter.signer.broken_status = 128
        with pytest.raises(SigningFailed, match="its clock is not set"):
            await begin(bus, dataset(STATION, TOKEN, "X"))


@pytest.mark.asyncio
async def test_a_caller_who_gives_up_leaves_the_line_in_order(tmp_path):
    async with iskra(tmp_path, [5.0]) as (_, bus, _told):
        asking = asyncio.create_task(begin(bus, dataset(STATION, TOKEN, "X")))
        await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.wait([asking])
        assert json.loads((await end(bus)).payload)["ID"] == TOKEN
        assert bus.counters.timeouts == bus.counters.malformed == 0


CONFIG = """
[station]
id = "FR-ARD-0001"
vendor = "Nexans"
[supply]
max_current = 52
[board]
kind = "simulated"
[[evse]]
id = 1
max_current = 32
evse_id = "FR*ARD*E0001*1"
meter = { model = "iskra-wm3m4c", unit = 33 }
[[evse]]
id = 2
max_current = 32
meter = { model = "eastron-sdm630", unit = 2 }
"""


@pytest.mark.asyncio
async def test_the_points_with_a_signing_meter_sign_and_the_others_do_not(tmp_path):
    async with iskra(tmp_path, [7_000.0]) as (meter, bus, _told):
        signing = build_signing(parse(CONFIG), bus, "0.1.0")
        assert signing.signs(1) and not signing.signs(2)
        assert await signing.begin(1, TOKEN, 1_700_000_000.0)
        signed = await signing.end(1)
        assert json.loads(signed.payload)["CI"] == "FR*ARD*E0001*1"
        assert not await signing.begin(2, TOKEN, 0.0) and await signing.end(2) is None
        meter.signer.broken_status = 254
        assert not await signing.begin(1, TOKEN, 0.0), "the session goes on unsigned"
