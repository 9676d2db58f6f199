"""Web and FTP servers for tests, with or without TLS, that can refuse, hold, and break off."""

import contextlib
import http.server
import socket
import socketserver
import ssl
import threading
import warnings

IMAGE = bytes(range(256)) * 1000


@contextlib.contextmanager
def serving(server):
    """The server at work in a thread of its own."""
    with server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.hold.set()
        server.shutdown()


def tls_context(authority, host="localhost", days=(-1, 60), directory=None, version=None):
    """What a TLS server needs: a certificate of this authority for that name."""
    certificate, key = authority.issue(host, days=days, host=host)
    file = directory / f"server-{host}.pem"
    file.write_text(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    if version is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # an old version is what some tests are about
            context.minimum_version = context.maximum_version = version
    return context


class Web(http.server.ThreadingHTTPServer):
    """Serves `files`, takes uploads into `taken`; the first answers are those of `failures`, once each.

    The first downloads end after `cuts` bytes each. `tag`: the ETag of every file; empty: none, and no ranges.
    """

    daemon_threads = True

    def __init__(self, tls=None):
        super().__init__(("127.0.0.1", 0), WebHandler)
        self.files = {"/fw.bin": IMAGE}
        self.moved = {"/moved": "/fw.bin"}
        self.taken = {}
        self.failures = []
        self.cuts = []
        self.tag = ""
        self.requests = []
        self.ranges = []
        self.hold = threading.Event()
        self.hold.set()
        scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
        self.url = f"{scheme}://user:pass%20word@{host}:{self.server_port}"
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request, client_address):
        """A cancelled transfer closes its connection; a handshake may fail."""


class WebHandler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def _begin(self):
        self.server.requests.append((self.command, self.path, self.headers.get("Authorization")))
        self.server.ranges.append(self.headers.get("Range"))
        self.server.hold.wait(5)
        if self.server.failures:
            self.send_error(self.server.failures.pop(0))
            return False
        return True

    def do_GET(self):
        if not self._begin():
            return
        server = self.server
        if self.path in server.moved:
            self.send_response(302)
            self.send_header("Location", server.moved[self.path])
            self.end_headers()
            return
        body = server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        begin = 0
        if server.tag and self.headers.get("If-Range") == server.tag and self.headers.get("Range"):
            begin = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if server.tag:
            self.send_header("ETag", server.tag)
        body = body[begin:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cuts.pop(0)] if server.cuts else body)

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._begin():
            self.server.taken[self.path] = body
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

    do_POST = do_PUT


class Ftp(socketserver.ThreadingTCPServer):
    """The few commands a passive transfer needs. With TLS it takes no password and no data without it.

    `strict`: data must go on with the control connection's TLS session, as many servers want it.
    """

    daemon_threads = True

    def __init__(self, tls=None, strict=False):
        super().__init__(("127.0.0.1", 0), FtpHandler)
        self.tls = tls
        self.strict = strict
        self.files = {"/fw.bin": IMAGE}
        self.taken = {}
        self.cuts = []
        self.rests = []
        self.time = "20260301120000"
        self.words = []
        self.hold = threading.Event()
        self.hold.set()
        scheme, host = ("ftps", "localhost") if tls else ("ftp", "127.0.0.1")
        self.url = f"{scheme}://user:secret@{host}:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        """A handshake may fail, a client may leave."""


class FtpHandler(socketserver.BaseRequestHandler):
    def say(self, text):
        self.request.sendall(f"{text}\r\n".encode())

    def lines(self):
        """Read byte by byte: what follows AUTH belongs to TLS."""
        line = b""
        while byte := self.request.recv(1):
            line += byte
            if byte == b"\n":
                yield line.decode().strip()
                line = b""

    def handle(self):
        server, passive, rest, protected = self.server, None, 0, False
        self.say("220 hello")
        for raw in self.lines():
            word, _, argument = raw.partition(" ")
            server.words.append(word)
            secure = isinstance(self.request, ssl.SSLSocket)
            if word == "AUTH" and server.tls:
                self.say("234 go on in TLS")
                self.request = server.tls.wrap_socket(self.request, server_side=True)
            elif word == "PROT":
                protected = argument == "P"
                self.say("200 ok")
            elif word == "USER":
                self.say("331 password" if secure or not server.tls else "530 not without TLS")
            elif word == "PASS":
                self.say("230 in" if argument == "secret" else "530 no")
            elif word == "SIZE":
                self.say(f"213 {len(server.files[argument])}" if argument in server.files else "550 no such file")
            elif word == "MDTM":
                self.say(f"213 {server.time}" if server.time else "500 what?")
            elif word == "REST":
                rest = int(argument)
                server.rests.append(rest)
                self.say("350 from there")
            elif word in ("EPSV", "PASV"):
                passive = socket.create_server(("127.0.0.1", 0))
                port = passive.getsockname()[1]
                self.say(f"229 ok (|||{port}|)" if word == "EPSV" else f"227 ok (127,0,0,1,{port // 256},{port % 256})")
            elif word in ("STOR", "RETR"):
                if server.tls and not protected:
                    self.say("522 not without PROT P")
                    continue
                if word == "RETR" and argument not in server.files:
                    self.say("550 no such file")
                    continue
                self.say("150 go")
                with passive:
                    self.data(word, argument, passive.accept()[0], rest)
                rest = 0
            elif word == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("200 ok")

    def data(self, word, path, connection, rest):
        server = self.server
        if server.tls:
            connection = server.tls.wrap_socket(connection, server_side=True)
            if server.strict and not connection.session_reused:
                connection.close()
                self.say("522 not the control connection's session")
                return
        whole = True
        with connection:
            if word == "RETR":
                body = server.files[path][rest:]
                if server.cuts:
                    body, whole = body[: server.cuts.pop(0)], False
                connection.sendall(body)
                server.hold.wait(5)
            else:
                server.taken[path] = b"".join(iter(lambda: connection.recv(65536), b""))
            if server.tls and whole:
                with contextlib.suppress(OSError, ssl.SSLError):
                    connection.unwrap()
        self.say("226 done" if whole else "426 broken off")
