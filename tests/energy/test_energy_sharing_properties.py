"""What sharing promises, for any cars, wirings, limits, arrivals and departures."""

from itertools import pairwise

from energy_fleet import Car, Site, Slot
from hypothesis import given, note, settings
from hypothesis import strategies as st

from chargepoint.energy.allocator import CHANGE_S, Phases, wiring

wirings = st.sampled_from(["RST", "STR", "RST", "TRS", "RTS", "R", "S", "T"]).map(lambda word: wiring(word))
amperes = st.integers(0, 700).map(lambda tenths: tenths / 10)
supplies = st.tuples(amperes, amperes, amperes) | st.integers(100, 600).map(lambda tenths: (tenths / 10,) * 3)


@st.composite
def cars(draw: st.DrawFn) -> Car:
    begin = draw(st.integers(0, 600))
    return Car(
        phases=draw(st.sampled_from([1, 1, 3, 3, 2])),
        max_a=draw(st.sampled_from([32.0, 32.0, 32.0, 16.0, 10.0, 6.0])),
        lag_s=draw(st.sampled_from([5, 5, 0, 1, 2, 4])),
        need_wh=draw(st.sampled_from([1e9, 1e9, 500.0, 3000.0])),
        idle=draw(
            st.sampled_from([(), ((begin, begin + 200.0),), ((begin, begin + 20.0), (begin + 90.0, begin + 95.0))])
        ),
    )


@st.composite
def domestic_sockets(draw: st.DrawFn, number: int) -> Slot:
    amps = draw(st.sampled_from([8.0, 10.0, 16.0, 8.25]))
    return Slot(number, wiring(draw(st.sampled_from(["R", "S", "T"]))), cap_a=amps, fixed_a=amps)


@st.composite
def sites(draw: st.DrawFn) -> Site:
    slots = [
        Slot(
            id=i,
            wiring=draw(wirings),
            cap_a=draw(st.sampled_from([32.0, 32.0, 20.0, 16.0, 6.0])),
            weight=draw(st.sampled_from([1.0, 1.0, 2.0, 0.5])),
            metered=draw(st.sampled_from([True, True, False])),
        )
        for i in range(1, draw(st.integers(2, 4)) + 1)
    ]
    if draw(st.booleans()):
        slots.append(draw(domestic_sockets(len(slots) + 1)))
    return Site(slots)


events = st.lists(
    st.tuples(
        st.integers(1, 12) | st.integers(20, 120),
        st.sampled_from(["plug", "plug", "plug", "unplug", "limit", "limit", "cap"]),
        st.integers(0, 4),
        st.data(),
    ),
    min_size=3,
    max_size=14,
)


def act(site: Site, kind: str, which: int, data: st.DataObject) -> None:
    slot = site.slots[which % len(site.slots)]
    if kind == "plug" and slot.car is None:
        slot.plug(data.draw(cars()), site.now)
    elif kind == "unplug":
        slot.unplug()
    elif kind == "limit":
        site.limit_a = data.draw(supplies)
    elif kind == "cap":
        slot.cap_a = data.draw(st.sampled_from([0.0, 5.9, 6.0, 10.0, 32.0]))


def signalled(site: Site) -> list[float]:
    """The sum of what the pilots signal, on the phases each car is wired to."""
    load = [0.0, 0.0, 0.0]
    for slot in site.slots:
        if slot.car is not None:
            for line in slot.wiring[: slot.car.phases]:
                load[line] += slot.offered_a
    return load


def within(load: list[float], limit: Phases) -> bool:
    return all(amps <= most + 1e-6 for amps, most in zip(load, limit, strict=True))


@settings(max_examples=45, deadline=None)
@given(sites(), events)
def test_no_phase_is_ever_above_its_limit_beyond_the_time_a_car_has_to_follow(
    site: Site, plan: list[tuple[int, str, int, st.DataObject]]
) -> None:
    for seconds, kind, which, data in plan:
        for _ in range(seconds):
            load = site.step()
            assert within(load, site.allowed()), (site.now, load, site.allowed())
            assert within(signalled(site), site.limit_a), (site.now, signalled(site), site.limit_a)
            assert all(offer == 0 or offer >= 6 for offer in site.offers()), site.offers()
            assert all(slot.offered_a <= slot.cap_a for slot in site.slots)
            assert all(slot.offered_a in (0, int(slot.fixed_a * 10) / 10) for slot in site.slots if slot.fixed_a)
        act(site, kind, which, data)
        note(f"{site.now}: {kind} {which}")


@settings(max_examples=15, deadline=None)
@given(sites(), st.data(), st.integers(60, 1600).map(lambda tenths: tenths / 10))
def test_a_steady_limit_is_used_and_the_pilots_come_to_rest(site: Site, data: st.DataObject, limit: float) -> None:
    site.limit_a = (limit, limit, limit)
    for slot in site.slots:
        slot.plug(Car(phases=data.draw(st.sampled_from([1, 3])), lag_s=data.draw(st.integers(0, 5))), site.now)
    site.run(120)
    before = [len(slot.changes) for slot in site.slots]
    load = site.step()
    offers = site.offers()
    # What water-filling would leave to a car that could still take more: nothing beyond 5 % of the limit.
    for slot in site.slots:
        assert slot.car is not None
        lines = slot.wiring[: slot.car.phases]
        room = min(limit - load[line] for line in lines)
        unsettled = slot.metered is False and len(slot.wiring) > slot.car.phases
        if slot.offered_a and slot.offered_a < slot.cap_a and not (unsettled or slot.fixed_a):
            neighbours = [s for s in site.slots if not s.metered and s.car is not None and s.car.phases < len(s.wiring)]
            assert room <= max(0.05 * limit, 0.6) or neighbours, (slot.id, room, offers)
    if limit >= sum(slot.fixed_a or 6 for slot in site.slots):
        site.run(300)
        assert [len(slot.changes) for slot in site.slots] == before, "no car fits or leaves, so no pilot moves"


scarce = st.integers(60, 130).map(lambda tenths: tenths / 10)


@settings(max_examples=8, deadline=None)
@given(sites(), scarce.map(lambda amps: (amps,) * 3) | st.tuples(scarce, scarce, scarce), st.data())
def test_nobody_waits_longer_than_one_rotation(site: Site, limit: Phases, data: st.DataObject) -> None:
    """One turn of everybody else, and of itself: whatever phases they use, whenever they came, metered or not."""
    site.limit_a = limit
    count = len(site.slots)
    waiting: dict[int, float] = {}
    worst = 0.0
    for slot in site.slots:
        car = Car(phases=data.draw(st.sampled_from([1, 3])), need_wh=data.draw(st.sampled_from([1e9, 500.0, 0.0])))
        slot.plug(car, site.now)
        site.run(data.draw(st.integers(0, 600)))
    for _ in range(count * 2 * 900):
        site.step()
        for slot in site.slots:
            if min(limit[line] for line in slot.wiring) < (slot.fixed_a or 6.0):
                continue  # it would not fit alone either
            waiting[slot.id] = 0.0 if slot.offered_a else waiting.get(slot.id, 0.0) + 1
            worst = max(worst, waiting[slot.id])
    assert worst <= count * 900 + 30, worst


def test_single_phase_cars_whose_turns_overlap_do_not_keep_a_three_phase_car_waiting() -> None:
    site = Site([Slot(1, wiring("R")), Slot(2, wiring("S")), Slot(3, wiring("RST"))], (9.0, 9.0, 9.0))
    site.slots[0].plug(Car(phases=1), site.now)
    site.run(400)
    site.slots[1].plug(Car(phases=1), site.now)
    site.run(60)
    site.slots[2].plug(Car(phases=3), site.now)
    site.run(2)
    assert site.last is not None
    told = site.last.offers[3].until
    assert told == 400 + 900, "both turns must end: the second one's does last"
    served = 0
    for _ in range(3 * 3600):
        site.step()
        served += site.slots[2].offered_a > 0
    assert served > 3600
    assert all(slot.car is not None and slot.car.energy_wh > 1000 for slot in site.slots)


@settings(max_examples=6, deadline=None)
@given(sites(), st.data())
def test_pilot_changes_are_bounded_and_apart(site: Site, data: st.DataObject) -> None:
    """A restless car, which stops and starts all the time, beside others under a steady limit."""
    limit = data.draw(st.integers(8, 60))
    site.limit_a = (limit, limit, limit)
    restless = tuple((float(t), float(t + 70)) for t in range(30, 3600, data.draw(st.integers(90, 200))))
    for slot in site.slots:
        slot.plug(Car(lag_s=1, idle=restless if slot.id == 1 else ()), site.now)
    site.run(3600)
    for slot in site.slots:
        assert len(slot.changes) <= 60, (slot.id, len(slot.changes))
        gaps = [b - a for a, b in pairwise(slot.changes)]
        assert all(gap >= CHANGE_S for gap in gaps), gaps
