"""Injected time: what happens at an instant follows from what was done before, and not from how busy the machine is."""

import asyncio
import random
import socket
import struct
import threading

import virtual_time
from prompt_tcp import prompt_tcp

LINGER = struct.pack("ii", 1, 0)
"""A close resets the connection."""


def listener() -> socket.socket:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    return listening


def test_a_thread_however_slow_has_done_its_work_when_the_loop_goes_on() -> None:
    async def play(lasts_s: float) -> list[str]:
        happened: list[str] = []

        async def thread() -> None:
            await asyncio.to_thread(threading.Event().wait, lasts_s)
            happened.append("thread")

        async def rounds() -> None:
            for number in range(20):
                happened.append(f"round {number}")
                await asyncio.sleep(0)

        await asyncio.gather(thread(), rounds())
        return happened

    assert virtual_time.run(play(0.0)) == virtual_time.run(play(0.1))


def test_connections_are_served_in_the_order_in_which_the_loop_came_to_know_them() -> None:
    async def play(backwards: bool) -> list[int]:
        loop = asyncio.get_running_loop()
        pairs = [socket.socketpair() for _ in range(5)]
        told: list[int] = []

        def read(number: int) -> None:
            pairs[number][0].recv(1)
            told.append(number)

        for number, (near, _) in enumerate(pairs):
            loop.add_reader(near, read, number)
        for _, far in reversed(pairs) if backwards else pairs:
            far.send(b"x")
        await asyncio.sleep(1)
        for near, far in pairs:
            loop.remove_reader(near)
            near.close()
            far.close()
        return told

    assert virtual_time.run(play(False)) == virtual_time.run(play(True)) == [0, 1, 2, 3, 4]


def test_a_set_of_tasks_goes_through_them_by_age() -> None:
    async def play() -> None:
        tasks = [asyncio.create_task(asyncio.sleep(0)) for _ in range(50)]
        ages = {task: age for age, task in enumerate(tasks)}
        first = min(hash(task) for task in tasks)
        assert [hash(task) - first for task in tasks] == list(ages.values())
        assert len(set(tasks)) == 50
        await asyncio.gather(*tasks)

    virtual_time.run(play())


def test_what_a_program_draws_for_itself_repeats_and_leaves_the_dice_of_others_alone() -> None:
    async def play() -> float:
        return random.random()

    random.seed(5)
    expected = random.random()
    random.seed(5)
    assert virtual_time.run(play(), 1) == virtual_time.run(play(), 1) != virtual_time.run(play(), 2)
    assert random.random() == expected


def test_what_was_sent_is_there_and_so_is_the_end() -> None:
    with prompt_tcp(), listener() as listening, socket.socket() as caller:
        caller.connect(listening.getsockname())
        caller.send(b"before anybody took it")
        taken, _ = listening.accept()
        taken.setblocking(False)
        assert taken.recv(100) == b"before anybody took it"
        caller.send(b"and after")
        caller.shutdown(socket.SHUT_WR)
        assert (taken.recv(100), taken.recv(100)) == (b"and after", b"")
        taken.send(b"half-closed")
        assert caller.recv(100) == b"half-closed"
        taken.close()
        caller.setblocking(False)
        assert caller.recv(100) == b""


def test_a_connection_that_is_reset_before_anybody_took_it_keeps_nobody_waiting() -> None:
    with prompt_tcp(), listener() as listening:
        for _ in range(2):
            caller = socket.socket()
            caller.connect(listening.getsockname())
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            caller.close()
        with socket.socket() as third:
            third.connect(listening.getsockname())
            for _ in range(3):
                listening.accept()[0].close()
            third.setblocking(False)
            assert third.recv(1) == b""


def test_a_receiver_that_takes_nothing_more_keeps_nobody_waiting() -> None:
    with prompt_tcp(), listener() as listening, socket.socket() as caller:
        caller.connect(listening.getsockname())
        taken, _ = listening.accept()
        caller.setblocking(False)
        sent = 0
        try:
            while True:
                sent += caller.send(bytes(1 << 16))
        except BlockingIOError:
            pass
        taken.setblocking(False)
        taken.recv(1 << 16)
        caller.close()
        taken.close()
        assert sent > 1 << 16


def test_a_connection_that_nobody_takes_is_refused() -> None:
    with prompt_tcp(), listener() as listening:
        address = listening.getsockname()
        listening.close()
        with socket.socket() as caller:
            assert caller.connect_ex(address) != 0
