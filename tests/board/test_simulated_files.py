"""The simulated borne's files: two processes share them, as two users of one group, and either may be the first."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from chargepoint.board import wires
from chargepoint.board.simulated import PWM_NAME, make_pwm_tree
from chargepoint.board.wires import FILE_NAME, Wires


@pytest.fixture(autouse=True)
def hardened() -> Iterator[None]:
    """Of the units: nothing for others, nothing writable for the group."""
    mask = os.umask(0o027)
    yield
    os.umask(mask)


def test_the_group_may_write_to_every_file_and_look_into_every_directory(tmp_path: Path) -> None:
    made = Wires(tmp_path / FILE_NAME)
    make_pwm_tree(tmp_path / PWM_NAME)
    made.close()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {0o660}
    assert all(path.stat().st_mode & 0o050 == 0o050 for path in tmp_path.rglob("*") if path.is_dir())
    assert sorted(path.name for path in tmp_path.iterdir()) == [PWM_NAME, FILE_NAME], "something is left over"


def test_nobody_sees_half_a_tree_and_who_comes_second_takes_the_first_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, rename = tmp_path / PWM_NAME, Path.rename

    def overtaken(self: Path, target: Path) -> Path:
        assert not root.exists()
        monkeypatch.undo()
        duty = make_pwm_tree(root) / "pwm0/duty_cycle"  # the other was faster
        duty.write_text("500000\n")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", overtaken)
    chip = make_pwm_tree(root)
    assert (chip / "pwm0/duty_cycle").read_text() == "500000\n", "a pilot that goes on was taken back"
    assert [path.name for path in tmp_path.iterdir()] == [PWM_NAME]


def test_a_tree_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / PWM_NAME).symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match=PWM_NAME):
        make_pwm_tree(tmp_path / PWM_NAME)


def test_wires_are_whole_when_they_can_be_seen_and_fresh_for_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, link, first = tmp_path / FILE_NAME, os.link, []

    def overtaken(made: str, target: Path) -> None:
        assert not path.exists()
        assert Path(made).stat().st_size == wires.SIZE and stat.S_IMODE(Path(made).stat().st_mode) == 0o660
        monkeypatch.undo()
        first.append(Wires(target))
        link(made, target)

    monkeypatch.setattr(os, "link", overtaken)
    second = Wires(path)
    assert (first[0].fresh, second.fresh) == (True, False)
    first[0].drive(3, 1)
    assert second.levels[3] == 1, "they do not share one file"
    for each in (first[0], second):
        each.close()
