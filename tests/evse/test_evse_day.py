"""A stretch of random cars and faults; the bench runs the whole day."""

from evse_day import Street


def test_a_stretch_of_random_cars_and_faults_misses_no_opening_and_leaves_no_point_stuck() -> None:
    day = Street(seed=20).run(0.35)
    assert day.cars >= 3
    assert day.worst_open_s <= 0.05
