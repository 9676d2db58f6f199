"""Groups, checksums, frames and their meaning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.sim.wire_tic import SimLinky, historical_groups, standard_groups
from chargepoint.tic.frames import NUMBERS, BadGroup, Framer, Group, Mode, checksum, make_frame, make_group, parse_group
from chargepoint.tic.reading import StatusRegister, understand


@pytest.mark.parametrize(
    ("raw", "label", "data"),
    [
        (b"HHPHC A ,", "HHPHC", "A"),
        (b"ADCO 040422040644 5", "ADCO", "040422040644"),
        (b"OPTARIF HC.. <", "OPTARIF", "HC.."),
        (b"PAPP 00400 %", "PAPP", "00400"),
    ],
)
def test_historical_groups_by_hand(raw, label, data):
    assert parse_group(raw) == (Mode.HISTORICAL, Group(label, data))


def test_a_standard_group_sums_its_last_tab_too():
    raw = b"IRMS1\t016\t"
    assert parse_group(raw + bytes((checksum(raw),))) == (Mode.STANDARD, Group("IRMS1", "016"))
    with pytest.raises(BadGroup):
        parse_group(raw + bytes((checksum(raw[:-1]),)))


def test_a_standard_group_may_carry_a_date():
    group = Group("SMAXSN", "03456", "E230615120000")
    assert parse_group(make_group(Mode.STANDARD, group)[1:-1]) == (Mode.STANDARD, group)


def test_a_checksum_that_is_a_space_is_read():
    candidates = (Group(label, f"{n:03d}") for label in ("IINST", "IMAX", "PMAX") for n in range(1000))
    found = next(g for g in candidates if make_group(Mode.HISTORICAL, g)[-2] == 0x20)
    assert parse_group(make_group(Mode.HISTORICAL, found)[1:-1])[1] == found


LABELS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-", min_size=2, max_size=8).filter(
    lambda label: not NUMBERS.fullmatch(label)
)
DATA = st.text("ABCDEFGHIJ0123456789. ", min_size=1, max_size=16)


@given(st.sampled_from(Mode), LABELS, DATA)
def test_every_group_survives_its_own_encoding(mode, label, data):
    assert parse_group(make_group(mode, Group(label, data))[1:-1]) == (mode, Group(label, data))


@given(LABELS, DATA, st.integers(0, 60), st.integers(0, 5))
def test_a_flipped_bit_is_noticed_or_harmless(label, data, at, bit):
    raw = bytearray(make_group(Mode.STANDARD, Group(label, data))[1:-1])
    raw[at % (len(raw) - 2)] ^= 1 << bit
    with pytest.raises(BadGroup):
        parse_group(bytes(raw))


BUSY = SimLinky(current_a=(16.0, 7.0, 12.0), energy_wh=123456, relays=5)
WHOLE = {
    Mode.STANDARD: make_frame(Mode.STANDARD, standard_groups(BUSY)),
    Mode.HISTORICAL: make_frame(Mode.HISTORICAL, historical_groups(BUSY)),
}


@given(st.sampled_from(Mode), st.integers(0, 10_000), st.integers(0, 6))
def test_no_wrong_bit_changes_a_current_unnoticed(mode, at, bit):
    raw = bytearray(WHOLE[mode])
    raw[at % len(raw)] ^= 1 << bit
    for frame in Framer().feed(bytes(raw)):
        reading = understand(frame, 0.0)
        assert frame.damaged or (reading.current_a, reading.overload) == ((16, 7, 12), False)


@given(st.binary(max_size=300))
def test_no_garbage_breaks_the_framer(data):
    framer = Framer()
    framer.feed(data)
    framer.feed(b"\x03" + make_frame(Mode.STANDARD, [Group("IRMS1", "001")]))
    assert framer.feed(make_frame(Mode.STANDARD, [Group("IRMS1", "001")]))[0].number("IRMS1") == 1


@given(st.lists(st.integers(1, 40), max_size=40))
def test_a_frame_may_come_in_pieces_of_any_size(sizes):
    data = make_frame(Mode.STANDARD, standard_groups(SimLinky(current_a=(5.0, 6.0, 7.0))))
    framer, found, at = Framer(), [], 0
    for size in [*sizes, len(data)]:
        found += framer.feed(data[at : at + size])
        at += size
    assert len(found) == 1 and found[0].damaged == 0


def test_half_a_frame_and_an_aborted_one_are_counted_and_dropped():
    whole = make_frame(Mode.HISTORICAL, historical_groups(SimLinky(current_a=(10.0,))))
    framer = Framer()
    assert not framer.feed(whole[:60]) and framer.feed(whole)
    assert framer.broken_frames == 1
    assert not framer.feed(whole[:60] + b"\x04")
    assert framer.broken_frames == 2


def test_a_wrong_checksum_costs_the_group_alone():
    data = make_frame(Mode.HISTORICAL, [Group("IINST", "010"), Group("PAPP", "02300")]).replace(b"010", b"011")
    (frame,) = Framer().feed(data)
    assert frame.damaged == 1
    assert frame.number("IINST") is None and frame.number("PAPP") == 2300


def test_the_status_register_of_a_known_meter():
    status = StatusRegister(0x013AC501)
    assert status.dry_contact_open and status.breaker == 0 and not status.cover_open
    assert not status.over_voltage and not status.over_power
    assert status.producer and not status.injecting
    assert status.supplier_tariff == 2 and status.distributor_tariff == 4
    assert not status.clock_degraded and status.standard_mode
    assert status.tempo_today == 1 and status.tempo_tomorrow == 0
    assert status.peak == 0 and status.peak_notice == 0


def _read(mode, groups):
    (frame,) = Framer().feed(make_frame(mode, groups))
    return understand(frame, 1.0)


def test_a_three_phase_meter_in_standard_mode():
    now = SimLinky(current_a=(16.4, 2.0, 0.0), energy_wh=123456, relays=5, tariff=2)
    reading = _read(Mode.STANDARD, standard_groups(now))
    assert reading.serial == now.serial and reading.phases == 3
    assert reading.current_a == (16, 2, 0)
    assert reading.current_resolved_a()[0] == pytest.approx(16.4, abs=0.01)
    assert reading.subscribed_va == reading.cut_off_va == 36000
    assert reading.energy_wh == 123456 and reading.relays == 5 and reading.tariff_index == 2
    assert reading.tariff == "BASE" and not reading.overload


def test_a_three_phase_overload_in_standard_mode_is_a_status_bit():
    assert _read(Mode.STANDARD, standard_groups(SimLinky(current_a=(60.0, 0.0, 0.0)))).overload


def test_a_single_phase_meter_in_historical_mode():
    reading = _read(Mode.HISTORICAL, historical_groups(SimLinky(current_a=(20.0,), subscribed_kva=9)))
    assert reading.phases == 1 and reading.current_a == (20, None, None)
    assert reading.apparent_total_va == 4600 and reading.subscribed_va == 9000
    assert reading.tariff == "TH" and not reading.overload and not reading.short


@pytest.mark.parametrize(("amps", "phases", "va"), [(30, 1, 6_000), (45, 1, 9_000), (15, 3, 9_000), (60, 3, 36_000)])
def test_a_contract_in_historical_mode_is_told_in_amperes_at_200_volts(amps, phases, va):
    currents = ["IINST"] if phases == 1 else ["IINST1", "IINST2", "IINST3"]
    groups = [Group("ISOUSC", f"{amps:02d}"), *(Group(label, "010") for label in currents), Group("PTEC", "TH..")]
    assert _read(Mode.HISTORICAL, groups).subscribed_va == va


def test_adps_is_an_overload_of_a_single_phase_meter():
    reading = _read(Mode.HISTORICAL, historical_groups(SimLinky(current_a=(45.0,), subscribed_kva=9)))
    assert reading.overload and reading.overload_a == (45, None, None) and not reading.short


def test_adir_comes_in_a_short_frame_of_a_three_phase_meter():
    reading = _read(Mode.HISTORICAL, historical_groups(SimLinky(current_a=(20.0, 58.0, 3.0))))
    assert reading.overload and reading.short and reading.phases == 3
    assert reading.overload_a == (None, 58, None)
    assert reading.current_a == (20, 58, 3)


@pytest.mark.parametrize(
    ("label", "data", "date"),
    [
        ("DATE", "", "H230115120000"),
        ("NGTF", "      BASE      ", ""),
        ("SMAXSN1-1", "04321", "H230114190000"),
        ("CCASN-1", "01234", "H230115113000"),
        ("UMOY1", "231", "H230115120000"),
        ("MSG1", "PAS DE          MESSAGE         ", ""),
        ("PRM", "01234567890123", ""),
        ("PJOURF+1", "00008001 NONUTILE NONUTILE", ""),
        ("PPOINTE", "00004003 06004004 22004003 NONUTILE", ""),
        ("STGE", "013AC501", ""),
    ],
)
def test_groups_as_linky_meters_send_them(label, data, date):
    group = Group(label, data, date)
    assert parse_group(make_group(Mode.STANDARD, group)[1:-1]) == (Mode.STANDARD, group)


@pytest.mark.parametrize(
    ("raw", "data"),
    [
        (b"IRMS1\t002\t0", "002"),
        (b"URMS2\t240\tA", "240"),
        (b"PREF\t12\tB", "12"),
        (b"SINSTS\t01198\tY", "01198"),
        (b"SMAXSN1-1\tE210414052143\t02196\tF", "02196"),
        (b"STGE\t003A4001\t>", "003A4001"),
        (b"MSG1\tPAS DE          MESSAGE         \t<", "PAS DE          MESSAGE         "),
        (b"RELAIS\t000\tB", "000"),
        (b"NTARF\t01\tN", "01"),
    ],
)
def test_standard_groups_of_a_real_three_phase_meter(raw, data):
    mode, group = parse_group(raw)
    assert mode is Mode.STANDARD and group.data == data
