"""A connection to a service of the policy, made by the agent itself, for sessions that have no network of their own."""

import asyncio
import socket

from latchstring.endpoint.ssh.ports import Service


async def connect_directly(service: Service) -> int:
    """Return the descriptor of a connection to ``service``, from the first of its addresses that answers.

    Raises:
        OSError: none does.
    """
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(service.host, service.port, type=socket.SOCK_STREAM)
    failure = OSError("it has no address")
    for family, kind, protocol, _, address in addresses:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.setblocking(False)
            await loop.sock_connect(connection, address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection.detach()
    raise failure
