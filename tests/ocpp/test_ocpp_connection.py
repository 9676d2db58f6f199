"""The link: address, proof of identity, ping, loss, back-off."""

import asyncio
import base64
import contextlib
import http
import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import serve
from websockets.protocol import State

from chargepoint.ocpp.connection import (
    LONGEST_WAIT_S,
    SHORTEST_WAIT_S,
    Backoff,
    Endpoint,
    Link,
    LinkPolicy,
    basic_password,
)
from chargepoint.sim.central_system import CentralSystem

QUICK = {"wait_minimum_s": 0.0, "random_range_s": 0.0, "ping_interval_s": 0.0}


class Sessions:
    """Serves connections by waiting for their end, and remembers them."""

    def __init__(self):
        self.opened = []
        self.count = asyncio.Condition()

    async def __call__(self, connection):
        async with self.count:
            self.opened.append(connection)
            self.count.notify_all()
        await connection.wait_closed()

    async def number(self, wanted):
        async with asyncio.timeout(5), self.count:
            await self.count.wait_for(lambda: len(self.opened) >= wanted)


@contextlib.asynccontextmanager
async def linked(endpoint, policy=None, on_failure=lambda error: None):
    sessions = Sessions()
    link = Link(lambda: endpoint, policy or LinkPolicy(**QUICK), sessions, on_failure)
    task = asyncio.create_task(link.run())
    try:
        yield link, sessions
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def endpoint(url, **more):
    return Endpoint(url, "CP 1/é", "ocpp1.6", **more)


@pytest.mark.parametrize(
    ("url", "profile", "address"),
    [
        ("ws://host:80/ocpp/", 0, "ws://host:80/ocpp/CP%201%2F%C3%A9"),
        ("ws://host/ocpp?a=b", 1, "ws://host/ocpp/CP%201%2F%C3%A9?a=b"),
        ("ws://host", 2, "wss://host/CP%201%2F%C3%A9"),
        ("wss://host", 0, "wss://host/CP%201%2F%C3%A9"),
    ],
)
def test_the_identity_is_url_encoded_and_the_scheme_follows_the_profile(url, profile, address):
    assert endpoint(url, security_profile=profile).address == address


def test_the_user_of_basic_authentication_is_the_identity_as_it_is():
    header = endpoint("ws://h", security_profile=1, password=b"\x01:\xff").headers()["Authorization"]
    assert base64.b64decode(header.removeprefix("Basic ")) == "CP 1/é".encode() + b":\x01:\xff"
    assert endpoint("ws://h", security_profile=0, password=b"x").headers() == {}
    assert endpoint("ws://h", security_profile=3, password=b"x").headers() == {}


def test_a_hexadecimal_key_stands_for_its_bytes_unless_it_is_said_to_be_text():
    key = "0123456789abcdefABCD0123456789abcdef0123"
    assert basic_password(key) == bytes.fromhex(key)
    assert basic_password(key, literal=True) == key.encode()
    assert basic_password("0123456789abcdef") == b"0123456789abcdef"
    assert basic_password("correct horse battery staple, odd") == b"correct horse battery staple, odd"


@pytest.mark.asyncio
async def test_a_host_name_that_cannot_be_is_a_failed_attempt_like_any_other():
    failures = asyncio.Queue()
    wrong = endpoint("ws://central..system/ocpp")
    async with linked(wrong, on_failure=failures.put_nowait) as (link, _), asyncio.timeout(10):
        await failures.get()
        assert "label" in link.trouble


@pytest.mark.asyncio
async def test_an_address_that_does_not_answer_does_not_stand_before_one_that_does(monkeypatch):
    """As with IPv6 that leads nowhere: the second address is tried long before the first is given up."""
    sessions = Sessions()
    with socket.create_server(("127.0.0.2", 0), backlog=0) as silent, contextlib.ExitStack() as stack:
        port = silent.getsockname()[1]
        for _ in range(4):  # its queue is full: the kernel drops whatever knocks
            knock = stack.enter_context(socket.socket())
            knock.setblocking(False)
            knock.connect_ex(silent.getsockname())
        both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in ("127.0.0.2", "127.0.0.1")]
        loop = asyncio.get_running_loop()

        async def found(*_, **__):
            return both

        async with serve(sessions, "127.0.0.1", port, subprotocols=["ocpp1.6"]):
            monkeypatch.setattr(loop, "getaddrinfo", found)
            async with linked(endpoint(f"ws://central:{port}")) as (_, served):
                await served.number(1)


@given(st.integers(0, 20), st.floats(0, 60), st.floats(0, 60), st.integers(1, 40))
def test_waiting_times_double_so_often_and_no_more(repeat, minimum, spread, failures):
    backoff = Backoff(LinkPolicy(wait_minimum_s=minimum, random_range_s=spread, repeat_times=repeat), lambda: 0.5)
    waits = [backoff.next() for _ in range(failures)]
    grown = [minimum * 2 ** min(n, repeat) + spread / 2 for n in range(failures)]
    assert waits == [min(max(wait, SHORTEST_WAIT_S), LONGEST_WAIT_S) for wait in grown]
    backoff.reset()
    assert backoff.next() == waits[0]


def test_no_setting_makes_it_hammer_the_central_system_or_stay_away_for_years():
    assert Backoff(LinkPolicy(wait_minimum_s=0, random_range_s=0), lambda: 0.5).next() > 0
    patient = Backoff(LinkPolicy(wait_minimum_s=3600, random_range_s=3600, repeat_times=20), lambda: 0.5)
    assert max(patient.next() for _ in range(30)) == 3600


@pytest.mark.asyncio
async def test_basic_authentication_and_subprotocol_reach_the_central_system():
    async with CentralSystem(password=b"\x00secret") as central:
        async with linked(endpoint(central.url, security_profile=1, password=b"\x00secret")) as (_, sessions):
            await sessions.number(1)
            assert sessions.opened[0].subprotocol == "ocpp1.6"
            assert list(central.connections) == ["CP 1/é"]
        assert "sec-websocket-extensions" not in central.handshakes[0].headers


@pytest.mark.asyncio
async def test_a_refused_password_is_told_and_tried_again():
    failures = asyncio.Queue()
    async with CentralSystem(password="right") as central, asyncio.timeout(5):
        wrong = endpoint(central.url, security_profile=1, password=b"wrong")
        async with linked(wrong, on_failure=failures.put_nowait):
            for _ in range(2):
                assert (await failures.get()).response.status_code == http.HTTPStatus.UNAUTHORIZED


@pytest.mark.asyncio
async def test_a_cut_link_is_made_again():
    async with CentralSystem() as central, linked(endpoint(central.url)) as (_, sessions):
        await sessions.number(1)
        await central.wait_connected()
        await central.drop()
        await sessions.number(2)


@pytest.mark.asyncio
async def test_disconnect_stays_away_until_connect():
    async with CentralSystem() as central, linked(endpoint(central.url)) as (link, sessions):
        await sessions.number(1)
        await link.disconnect()
        await asyncio.sleep(0.05)
        assert not link.connected
        assert len(sessions.opened) == 1
        link.connect()
        await sessions.number(2)


@pytest.mark.asyncio
async def test_connect_does_not_wait_for_the_back_off():
    async with CentralSystem() as central:
        central.refuse = http.HTTPStatus.SERVICE_UNAVAILABLE
        failed = asyncio.Event()
        slow = LinkPolicy(wait_minimum_s=1000, random_range_s=0, ping_interval_s=0)
        async with linked(endpoint(central.url), slow, lambda error: failed.set()) as (link, sessions):
            await failed.wait()
            central.refuse = None
            link.connect()
            await sessions.number(1)


@pytest.mark.asyncio
async def test_only_a_stable_connection_resets_the_back_off():
    async with CentralSystem() as central:
        policy = LinkPolicy(wait_minimum_s=0.05, random_range_s=0, ping_interval_s=0, stable_s=1000)
        async with linked(endpoint(central.url), policy) as (link, sessions):
            for number in range(1, 4):
                await sessions.number(number)
                await central.wait_connected()
                await central.drop()
            await sessions.number(4)
            assert link._backoff.next() == pytest.approx(0.4)


@pytest.mark.asyncio
async def test_a_pong_that_stays_away_ends_the_connection_and_a_new_one_is_made():
    """The half-open link: the server's end reads nothing any more."""
    blocked = asyncio.Event()

    async def deaf(connection):
        connection.transport.pause_reading()
        await blocked.wait()

    async with serve(deaf, "127.0.0.1", 0, subprotocols=["ocpp1.6"], ping_interval=None, close_timeout=0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        policy = LinkPolicy(wait_minimum_s=0, random_range_s=0, ping_interval_s=0.05, pong_timeout_s=0.05)
        async with linked(endpoint(f"ws://127.0.0.1:{port}"), policy) as (_, sessions):
            await sessions.number(2)
            assert sessions.opened[0].state is State.CLOSED
        blocked.set()


@pytest.mark.asyncio
async def test_the_ping_interval_is_live():
    pings = asyncio.Queue()
    async with CentralSystem() as central:
        policy = LinkPolicy(wait_minimum_s=0, random_range_s=0, ping_interval_s=0)
        async with linked(endpoint(central.url), policy) as (link, sessions):
            await sessions.number(1)
            original = sessions.opened[0].ping
            sessions.opened[0].ping = lambda: (pings.put_nowait(1), original())[1]
            await asyncio.sleep(0.05)
            assert pings.empty()
            policy.ping_interval_s = 0.01
            link.policy_changed()
            async with asyncio.timeout(2):
                await pings.get()
                await pings.get()


@pytest.mark.asyncio
async def test_a_message_beyond_the_size_limit_closes_the_connection_and_is_survived():
    async with CentralSystem() as central:

        async def read(connection):
            async for _ in connection:
                pass

        link = Link(lambda: endpoint(central.url), LinkPolicy(**QUICK), read)
        task = asyncio.create_task(link.run())
        await central.wait_connected()
        await central.send_text("x" * ((1 << 20) + 1))
        await central.wait_until(lambda: len(central.handshakes) >= 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def certificate(name, directory, issuer=None, ca=False):
    """A P-256 certificate and its key as PEM files; self-signed without an issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    signer, issuer_name = (key, subject) if issuer is None else issuer
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    cert_file, key_file = directory / f"{name}.pem", directory / f"{name}.key"
    cert_file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file, (key, subject)


def server_tls(directory, root, client_ca=None):
    cert, key, _ = certificate("localhost", directory, root[2])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context


@pytest.mark.asyncio
async def test_tls_checks_the_server_and_profile_3_shows_a_certificate(tmp_path):
    root = certificate("Root", tmp_path, ca=True)
    cert, key, _ = certificate("CP1", tmp_path, root[2])
    tls = server_tls(tmp_path, root, client_ca=root[0])
    async with CentralSystem(tls=tls, host="localhost") as central:
        secure = endpoint(
            central.url,
            security_profile=3,
            trust=root[0].read_text(),
            certificate=cert.read_text(),
            key=key.read_text(),
        )
        async with linked(secure) as (_, sessions):
            await sessions.number(1)
            assert sessions.opened[0].transport.get_extra_info("ssl_object").version() in ("TLSv1.2", "TLSv1.3")


@pytest.mark.asyncio
async def test_a_server_of_another_authority_or_name_is_refused(tmp_path):
    root = certificate("Root", tmp_path, ca=True)
    (tmp_path / "other").mkdir()
    other = certificate("Root", tmp_path / "other", ca=True)
    failures = asyncio.Queue()
    async with asyncio.timeout(5), CentralSystem(tls=server_tls(tmp_path, root), host="localhost") as central:
        foreign = endpoint(central.url, security_profile=2, trust=other[0].read_text())
        misnamed = endpoint(
            central.url.replace("localhost", "127.0.0.1"), security_profile=2, trust=root[0].read_text()
        )
        for wrong in (foreign, misnamed):
            async with linked(wrong, on_failure=failures.put_nowait):
                assert isinstance(await failures.get(), ssl.SSLCertVerificationError)
