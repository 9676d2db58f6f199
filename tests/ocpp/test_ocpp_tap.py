"""The last messages on the link: kept in memory, without badges and passwords."""

import asyncio

import pytest

from chargepoint.ocpp.tap import KEPT, MAX_TEXT, Tap, redacted


class Echo:
    """A wire on which everything sent comes back."""

    def __init__(self) -> None:
        self.line: asyncio.Queue[str] = asyncio.Queue()

    async def recv(self) -> str:
        return await self.line.get()

    async def send(self, message: str) -> None:
        await self.line.put(message)


@pytest.mark.asyncio
async def test_what_passes_in_both_directions_is_kept_in_order() -> None:
    tap = Tap()
    wire = tap.around(Echo())
    await wire.send('[2,"1","Heartbeat",{}]')
    assert await wire.recv() == '[2,"1","Heartbeat",{}]'
    assert [entry["direction"] for entry in tap.newest(10)] == ["out", "in"]


def test_only_the_newest_are_kept_and_none_is_long() -> None:
    tap = Tap()
    for number in range(KEPT + 50):
        tap.keep("in", f"{number}" + "x" * 5000)
    kept = tap.newest(10_000)
    assert len(kept) == KEPT
    assert kept[-1]["text"].startswith(str(KEPT + 49))
    assert all(len(entry["text"]) <= MAX_TEXT for entry in kept)
    assert tap.newest(0) == []


def test_badges_and_passwords_are_not_kept() -> None:
    text = '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"se\\"cret"}]'
    assert "cret" not in redacted(text)
    assert redacted('{"idTag":"04A1B2C3","parentIdTag" : "GROUP1"}') == '{"idTag":"04A***","parentIdTag" : "GRO***"}'


@pytest.mark.parametrize(
    "text",
    [
        '[2,"1","ChangeConfiguration",{"key":"authorizationkey","value":"secret"}]',
        '[2,"1","ChangeConfiguration",{"value":"secret","key":"AuthorizationKey"}]',
        '[2,"1","GetDiagnostics",{"location":"ftp://user:secret@files.example/in"}]',
        '[2,"1","UpdateFirmware",{"location":"https://secret@files.example/fw","retrieveDate":"x"}]',
    ],
)
def test_no_way_of_writing_a_secret_is_kept(text: str) -> None:
    assert "secret" not in redacted(text)
    assert redacted(text).startswith('[2,"1",') and redacted(text).endswith("]")


def test_an_address_without_a_password_is_kept_whole() -> None:
    text = '{"location":"https://files.example/a@b","key":"HeartbeatInterval","value":"60"}'
    assert redacted(text) == text
