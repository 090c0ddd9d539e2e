"""HTTPS to the controller: bounded, in time, never sent twice."""

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from http_proxy import http_proxy
from latchstring.certs.tls_contexts import TlsCredentials, client_context, server_context
from latchstring.client.address import Address
from latchstring.client.errors import ClientError, TrustError, UnreachableError, UsageFaultError
from latchstring.client.https_transport import HttpsTransport, Request
from latchstring.client.lean_https import client_context as lean_context
from latchstring.client.lean_https import open_tls, post_json
from unit.client.fake_controller import FakeController


def read_request(connection: ssl.SSLSocket) -> bytes:
    """Read a whole GET, or a POST of ``{}``."""
    data = b""
    while not data.endswith(b"\r\n\r\n" if data.startswith(b"GET") else b"\r\n\r\n{}"):
        chunk = connection.recv(65536)
        if not chunk:
            raise ConnectionError("half a request")
        data += chunk
    return data


@contextmanager
def raw_server(directory: Path, *answers: bytes) -> Iterator[tuple[Address, list[bytes]]]:
    """Serve each connection in turn: read a request, send the next of ``answers``, close."""
    context = server_context(TlsCredentials(directory / "tls.pem", directory / "tls.key"))
    listener = socket.create_server(("127.0.0.1", 0))
    received: list[bytes] = []

    def serve() -> None:
        for answer in answers:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(plain, server_side=True) as secured:
                    received.append(read_request(secured))
                    secured.sendall(answer)
            except OSError:
                continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield Address("127.0.0.1", listener.getsockname()[1]), received
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.fixture
def tls(shared_controller: FakeController) -> Path:
    """Where the shared controller's certificate and key are."""
    return shared_controller.directory


def lean_open(address: Address, root: str) -> ssl.SSLSocket:
    """Connect as ``latch connect`` does."""
    return open_tls(
        address.host,
        address.port,
        lean_context(root),
        environment=os.environ,
        clock=time.monotonic,
        meanwhile=lambda: None,
    )


def lean_post(address: Address, root: str) -> tuple[int, bytes]:
    """Send a POST as ``latch connect`` does."""
    with lean_open(address, root) as connection:
        return post_json(
            connection, host=address.authority, path="/x", token="t", body=b"{}", clock=iter(range(10**6)).__next__
        )


def full_get(address: Address, root: str) -> tuple[int, bytes]:
    """Send a GET as every other command does."""
    transport = HttpsTransport(address, client_context(root.encode()))
    answer = transport.send(Request("GET", "/x", {}, limit=100_000))
    transport.close()
    return answer.status, answer.body


Send = Callable[[Address, str], tuple[int, bytes]]
BOTH = pytest.mark.parametrize("send", [lean_post, full_get])


@BOTH
def test_answer(send: Send, tls: Path, shared_controller: FakeController) -> None:
    """Status and body of a plain answer come back, and no byte more."""
    root = shared_controller.keys.x509.root_pem().decode()
    with raw_server(tls, b"HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\nX: y\r\n\r\nokEXTRA") as (address, received):
        assert send(address, root) == (409, b"ok")
        assert received[0].split(b"\r\n")[0] in (b"POST /x HTTP/1.1", b"GET /x HTTP/1.1")


@BOTH
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 5000,
    ],
)
def test_bad_answer(send: Send, tls: Path, shared_controller: FakeController, answer: bytes) -> None:
    """Garbage, a cut or an endless answer is one clear error, never a traceback."""
    root = shared_controller.keys.x509.root_pem().decode()
    with raw_server(tls, answer, answer) as (address, _), pytest.raises(UnreachableError) as caught:
        send(address, root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_lean_client_wants_a_length(tls: Path, shared_controller: FakeController, answer: bytes) -> None:
    """The lean client takes only answers of one known length."""
    root = shared_controller.keys.x509.root_pem().decode()
    with raw_server(tls, answer) as (address, _), pytest.raises(UnreachableError, match="length"):
        lean_post(address, root)


@BOTH
def test_unknown_root(send: Send, tls: Path, tmp_path: Path) -> None:
    """A server that another root vouches for is not believed, and hears nothing."""
    other = FakeController(tmp_path / "other")
    other.close()
    with raw_server(tls, b"") as (address, received), pytest.raises(TrustError, match="does not prove"):
        send(address, other.keys.x509.root_pem().decode())
    assert received == []


@BOTH
def test_wrong_name(send: Send, tmp_path: Path) -> None:
    """A server whose certificate is made for another name is not believed."""
    other = FakeController(tmp_path / "other", names=("elsewhere.example.test",))
    try:
        with pytest.raises(TrustError, match="does not prove"):
            send(Address("127.0.0.1", other.port), other.keys.x509.root_pem().decode())
    finally:
        other.close()


@BOTH
def test_nobody_listens(send: Send, shared_controller: FakeController) -> None:
    """A port where nobody listens is unreachable."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address("127.0.0.1", listener.getsockname()[1])
    with pytest.raises(UnreachableError, match="cannot be reached: Connection refused"):
        send(address, shared_controller.keys.x509.root_pem().decode())


@BOTH
def test_no_tls(send: Send, shared_controller: FakeController) -> None:
    """A server that does not speak TLS is named as that."""
    root = shared_controller.keys.x509.root_pem().decode()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        plain, _ = listener.accept()
        with plain:
            plain.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            plain.recv(65536)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listener, pytest.raises(ClientError, match="does not answer with TLS"):
        send(Address("127.0.0.1", listener.getsockname()[1]), root)
    thread.join()


@BOTH
def test_through_a_proxy(
    send: Send, tls: Path, shared_controller: FakeController, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a proxy in the environment the controller is reached through it, and still has to prove itself."""
    root = shared_controller.keys.x509.root_pem().decode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with http_proxy(credentials="ann:s3cret") as proxy, raw_server(tls, answer, answer) as (address, received):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert send(address, root) == (200, b"ok")
        assert proxy.asked == [address.authority]
        assert b"proxy-authorization" not in received[0].lower()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert send(address, root) == (200, b"ok")
        assert proxy.asked == [address.authority]


@BOTH
def test_unknown_root_behind_a_proxy(send: Send, tls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that leads to somebody else is found out."""
    other = FakeController(tmp_path / "other")
    other.close()
    with http_proxy() as proxy, raw_server(tls, b"") as (address, _):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(TrustError, match="does not prove"):
            send(address, other.keys.x509.root_pem().decode())


@BOTH
def test_proxy_that_refuses(send: Send, shared_controller: FakeController, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the proxy refuses is said with its address and the status, and without its credentials."""
    with http_proxy(credentials="ann:s3cret", allows=lambda _port: False) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with pytest.raises(UnreachableError) as caught:
            send(Address("127.0.0.1", shared_controller.port), shared_controller.keys.x509.root_pem().decode())
    assert str(caught.value) == (
        f"the controller at 127.0.0.1:{shared_controller.port} cannot be reached: "
        f"the proxy at 127.0.0.1:{proxy.port} refuses the connection (HTTP status 403 Forbidden)"
    )


@BOTH
def test_proxy_that_is_none(send: Send, shared_controller: FakeController, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that names no proxy is a usage error, and nothing is connected to."""
    monkeypatch.setenv("HTTPS_PROXY", "socks5://ann:s3cret@127.0.0.1:1")
    with pytest.raises(UsageFaultError, match="HTTPS_PROXY is not the address of an HTTP proxy"):
        send(Address("127.0.0.1", shared_controller.port), shared_controller.keys.x509.root_pem().decode())


def test_old_tls_is_refused(tls: Path, shared_controller: FakeController) -> None:
    """TLS 1.2 is not spoken."""
    context = client_context(shared_controller.keys.x509.root_pem())
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert lean_context(shared_controller.keys.x509.root_pem().decode()).minimum_version is ssl.TLSVersion.TLSv1_3
    assert tls.exists()


def test_answer_in_time(tls: Path, shared_controller: FakeController) -> None:
    """The limit is on the whole answer, so a server that drips bytes does not hold a connection open."""
    root = shared_controller.keys.x509.root_pem().decode()
    times = iter([0.0, 1.0, 100.0])
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"
    with (
        raw_server(tls, answer) as (address, _),
        lean_open(address, root) as connection,
        pytest.raises(UnreachableError, match="no answer in time"),
    ):
        post_json(connection, host="h", path="/x", token="t", body=b"{}", clock=times.__next__)


def test_get_is_repeated_once_on_a_stale_connection(tls: Path, shared_controller: FakeController) -> None:
    """A connection that the controller closed between two requests is replaced for a GET, and never used for more."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    context = client_context(shared_controller.keys.x509.root_pem())
    with raw_server(tls, answer, answer, answer) as (address, received):
        transport = HttpsTransport(address, context)
        for _ in range(2):
            assert transport.send(Request("GET", "/x", {})).body == b"ok"
        assert transport.send(Request("POST", "/x", {}, b"{}")).body == b"ok"
        transport.close()
        assert len(received) == 3
