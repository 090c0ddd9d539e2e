"""A channel that forwards to one of the services that the customer's policy names (``ssh -L``)."""

import asyncio
import os
import socket
from collections.abc import Mapping
from typing import Final

import asyncssh

from latchstring.endpoint.sandbox.errors import SandboxError
from latchstring.endpoint.ssh.channels import Channels, first_of
from latchstring.endpoint.ssh.ports import ANY_PORT, ChannelEnd, ChannelRefusal, RefusedError, Service
from latchstring.endpoint.ssh.pumps import Hold, InputPump, OutputPump
from latchstring.protocol import capabilities
from latchstring.protocol.event_fields import ChannelKind, ChannelOutcome

CONNECT_SECONDS: Final = 10


def find_service(services: Mapping[str, Service], host: str, port: int) -> tuple[str, Service]:
    """Return the service that ``-L LOCAL:HOST:PORT`` means, with its name.

    Args:
        services: those that the policy names.
        host: a service's name, and then the port matters only if the service is every port of a host; or the host of
            a service's address.
        port: with a host, the port of the address.

    Raises:
        RefusedError: there is no such service. The text names none, since it is for a stranger to the policy.
    """
    if host in services:
        return host, _at(services[host], port)
    for name, service in services.items():
        if (service.host, service.port) == (host, port):
            return name, service
    for name, service in services.items():
        if service.port == ANY_PORT and host in {service.host, "localhost"} and port:
            return name, _at(service, port)
    raise RefusedError(ChannelRefusal.UNKNOWN_SERVICE, "the customer's policy names no such service")


def _at(service: Service, port: int) -> Service:
    return Service(service.host, port, every_port=True) if service.port == ANY_PORT else service


class ForwardChannel(asyncssh.SSHTCPSession[bytes]):
    """One forwarded connection. A half that has ended leaves the other open, as TCP does."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._channel: asyncssh.SSHTCPChannel[bytes]
        self._connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._started = asyncio.Event()
        self._gone = asyncio.Event()
        self._output: OutputPump | None = None
        self._input = InputPump(on_full=self._pause_input, on_drained=self._resume_input)

    @classmethod
    async def open(cls, channels: Channels, host: str, port: int) -> "ForwardChannel":
        """Authorise, record, and connect, in this order.

        Raises:
            asyncssh.ChannelOpenError: refused, or the service does not answer.
        """
        channel = cls(channels)
        channels.run(channel._run(host, port))
        await asyncio.shield(channel._connected)
        return channel

    def connection_made(self, chan: "asyncssh.SSHTCPChannel[bytes]") -> None:
        """Take the channel, once it is open."""
        self._channel = chan

    def session_started(self) -> None:
        """Begin to move bytes."""
        self._started.set()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Hand on what the client sent."""
        del datatype
        self._input.feed(data)

    def eof_received(self) -> bool:
        """Half-close the service's side after the last byte, and keep the channel open for its answer."""
        self._input.finish()
        return True

    def pause_writing(self) -> None:
        """Stop reading from the service: the client takes no more."""
        if self._output is not None:
            self._output.hold(Hold.CHANNEL)

    def resume_writing(self) -> None:
        """Read from the service again."""
        if self._output is not None:
            self._output.release(Hold.CHANNEL)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the channel is closed."""
        del exc
        self._gone.set()

    async def _run(self, host: str, port: int) -> None:
        try:
            name, service = find_service(self._channels.session.services, host, port)
            capability = capabilities.forward(name)
            self._channels.session.authorise(capability)
            number = await self._channels.opened(ChannelKind.FORWARD, capability, None)
        except RefusedError as refusal:
            await self._channels.refused(ChannelKind.FORWARD, refusal, f"-L {host}:{port}")
            self._fail(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, refusal.text)
            return
        end = ChannelEnd(ChannelOutcome.FAILED, bytes_in=0, bytes_out=0)
        try:
            end = await self._serve(service)
        except (OSError, TimeoutError, SandboxError):
            self._fail(asyncssh.OPEN_CONNECT_FAILED, f"the service {name} does not answer")
        finally:
            await self._channels.closed(number, end)

    async def _serve(self, service: Service) -> ChannelEnd:
        """Connect, and move bytes until both halves have ended or the client has gone.

        Raises:
            OSError, TimeoutError, SandboxError: the service does not answer.
        """
        async with asyncio.timeout(CONNECT_SECONDS):
            descriptor = await self._channels.session.connect(service)
        self._connected.set_result(None)
        await first_of(self._started.wait(), self._gone.wait(), self._channels.gone.wait())
        if not self._started.is_set():
            os.close(descriptor)
            return ChannelEnd(ChannelOutcome.CLOSED, bytes_in=0, bytes_out=0)
        self._input.open(os.dup(descriptor), finish=_half_close)
        self._output = output = OutputPump(descriptor, self._write)
        self._channels.attach(self._input, [output])
        try:
            await first_of(self._finished(output), self._gone.wait())
        finally:
            self._input.stop()
            output.stop()
            self._channels.detach(self._input, [output])
        if not self._gone.is_set():
            self._channel.close()
        outcome = ChannelOutcome.CUT if self._channels.was_cut else ChannelOutcome.CLOSED
        return ChannelEnd(outcome, bytes_in=self._input.count, bytes_out=output.count)

    async def _finished(self, output: OutputPump) -> None:
        await output.ended.wait()
        if not self._channel.is_closing():
            self._channel.write_eof()
        await self._input.ended.wait()

    def _fail(self, code: int, text: str) -> None:
        if not self._connected.done():
            self._connected.set_exception(asyncssh.ChannelOpenError(code, text))

    def _pause_input(self) -> None:
        self._channel.pause_reading()

    def _resume_input(self) -> None:
        self._channel.resume_reading()

    def _write(self, data: bytes) -> None:
        if not self._channel.is_closing():
            self._channel.write(data)


def _half_close(descriptor: int) -> None:
    with socket.socket(fileno=descriptor) as connection:
        connection.shutdown(socket.SHUT_WR)
