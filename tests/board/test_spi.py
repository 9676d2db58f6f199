"""spidev's message as the kernel would read it: one frame a transfer, each with its own chip select."""

import ctypes
from pathlib import Path
from typing import Any

import pytest

from chargepoint.board import mcp3208
from chargepoint.board.spi import KernelSpi, message_request

FRAMES = tuple(mcp3208.frame(channel) for channel in range(6))


class Kernel:
    """Answers each command frame with 100 times its channel."""

    def __init__(self) -> None:
        self.lost = 0
        self.changes: list[int] = []
        self.lengths: list[int] = []

    def ioctl(self, descriptor: int, request: int, transfers: Any) -> int:
        assert request == message_request(len(transfers))
        self.changes = [transfer.cs_change for transfer in transfers]
        self.lengths = [transfer.len for transfer in transfers]
        for transfer in transfers:
            channel = mcp3208.channel_of(ctypes.string_at(transfer.tx_buf, transfer.len))
            answer = mcp3208.Answers(1).received((100 * channel,))
            ctypes.memmove(transfer.rx_buf, answer, len(answer))
        return sum(self.lengths) - self.lost


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr("chargepoint.board.spi.fcntl.ioctl", made.ioctl)
    return made


def test_all_channels_come_in_one_call(kernel: Kernel) -> None:
    device = KernelSpi(Path("/dev/null"), FRAMES)
    assert mcp3208.Answers(6).counts(device.exchange()) == (0, 100, 200, 300, 400, 500)
    assert kernel.lengths == [3] * 6
    device.close()


def test_chip_select_falls_between_conversions_and_after_the_last(kernel: Kernel) -> None:
    device = KernelSpi(Path("/dev/null"), FRAMES)
    device.exchange()
    assert kernel.changes == [1, 1, 1, 1, 1, 0]
    device.close()


def test_a_short_exchange_is_an_error_and_no_measurement(kernel: Kernel) -> None:
    device = KernelSpi(Path("/dev/null"), FRAMES)
    kernel.lost = 3
    with pytest.raises(OSError, match="15 bytes of 18"):
        device.exchange()
    device.close()


def test_a_missing_device_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        KernelSpi(tmp_path / "spidev0.0", FRAMES)
