"""What ``connection`` and ``bulk`` rely on of asyncssh's inside. If one of these fails, read both first."""

import inspect

import asyncssh
from asyncssh.channel import SSHChannel
from asyncssh.crypto.cipher import GCMCipher
from asyncssh.encryption import GCMEncryption
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from latchstring.endpoint.ssh import bulk

CONNECTION = asyncssh.SSHServerConnection


def parameters(function: object) -> list[str]:
    """Return the names of a function's parameters."""
    assert callable(function)
    return list(inspect.signature(function).parameters)


def test_the_release_is_one_that_bulk_knows() -> None:
    """The installed asyncssh is one whose inside was read; another one works, without bulk, until this is renewed."""
    assert bulk.IS_KNOWN_RELEASE


def test_the_overridden_methods_are_there() -> None:
    """Each method that is overridden exists with the parameters that it had."""
    assert parameters(CONNECTION.__init__) == ["self", "loop", "options", "acceptor", "error_handler", "wait"]
    assert parameters(CONNECTION.connection_made) == ["self", "transport"]
    assert parameters(CONNECTION.data_received) == ["self", "data", "datatype"]
    assert parameters(CONNECTION.send_packet) == ["self", "pkttype", "args", "handler"]
    assert parameters(CONNECTION.validate_public_key) == ["self", "username", "key_data", "msg", "signature"]
    assert parameters(CONNECTION.create_server_channel) == ["self", "encoding", "errors", "window", "max_pktsize"]
    assert parameters(CONNECTION.create_tcp_channel) == ["self", "encoding", "errors", "window", "max_pktsize"]
    assert parameters(SSHChannel._flush_send_buf) == ["self"]


def test_the_state_that_bulk_shares_with_asyncssh_is_there() -> None:
    """Nonce, sequence number, window and buffers are kept where bulk reads and writes them."""
    connection = inspect.getsource(CONNECTION.__mro__[1])
    for name in ("_send_seq", "_rekey_bytes_sent", "_send_enchdrlen", "_send_blocksize", "_kex_complete"):
        assert f"self.{name} = " in connection or f"self.{name}: " in connection or f"self.{name} += " in connection
    channel = inspect.getsource(SSHChannel)
    for name in ("_send_buf", "_send_buf_len", "_send_window", "_send_pktsize", "_send_chan"):
        assert f"self.{name}" in channel


def test_bulk_encrypts_exactly_as_asyncssh_does() -> None:
    """The same key and nonce give the same bytes by either way, and asyncssh moves the nonce on."""
    key, nonce, header, packet = bytes(range(16)), bytes(range(12)), b"\0\0\0\x20", bytes(32)
    cipher = GCMCipher("aes128-gcm", key, nonce)
    sealed, tag = GCMEncryption(cipher).encrypt_packet(0, header, packet)
    ours = bytearray(4 + 32 + 16)
    ours[:4] = header
    AESGCM(key).encrypt_into(nonce, packet, header, memoryview(ours)[4:])
    assert bytes(ours) == sealed + tag
    assert cipher._iv == nonce[:4] + (int.from_bytes(nonce[4:], "big") + 1).to_bytes(8, "big")
