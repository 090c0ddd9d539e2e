"""The command line's side of the control socket."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel

from latchstring.endpoint.errors import EndpointError, RefusedError, UnreachableError, UsageFaultError
from latchstring.endpoint.local.messages import (
    MAX_REPLY_BYTES,
    Answer,
    Failure,
    FailureKind,
    Progress,
    Reply,
    Request,
    decode_reply,
    encode,
)
from latchstring.endpoint.local.socket_path import short_path

FIRST_REPLY_SECONDS: Final = 1.0
"""How long an agent may take to say that it has heard."""
ANSWER_SECONDS: Final = 30.0

_Body = TypeVar("_Body", bound=BaseModel)

_KINDS: Final = {
    FailureKind.FAILED: EndpointError,
    FailureKind.USAGE: UsageFaultError,
    FailureKind.REFUSED: RefusedError,
}


class AgentNotRunningError(UnreachableError):
    """No agent listens."""


class AgentHangsError(UnreachableError):
    """An agent is there, but does not answer in time."""


def ask(
    path: Path,
    request: Request,
    answer: type[_Body],
    *,
    first_reply_seconds: float = 10.0,
    progress: Callable[[str], None] = lambda _: None,
    asked: socket.socket | None = None,
) -> _Body:
    """Ask the agent whose control socket is at ``path``, and return its answer.

    Args:
        path: of the control socket.
        request: what is asked.
        answer: the kind of answer that belongs to it.
        first_reply_seconds: how long the agent may take to say that it has heard.
        progress: told what the agent says meanwhile.
        asked: a connection on which the request was already sent; ours from now on.

    Raises:
        AgentNotRunningError: no agent listens.
        AgentHangsError: it does not answer in time.
        EndpointError: it answered that it was not done.
    """
    with asked or socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
        connection.settimeout(first_reply_seconds)
        if asked is None:
            _connect(connection, path)
        try:
            if asked is None:
                connection.sendall(encode(request))
            with connection.makefile("rb") as lines:
                while isinstance(reply := _read(lines.readline(MAX_REPLY_BYTES)), Progress):
                    connection.settimeout(ANSWER_SECONDS)
                    progress(reply.text)
        except TimeoutError as error:
            raise AgentHangsError("the agent does not answer; is it stopped, or hanging?") from error
        except OSError as error:
            raise AgentNotRunningError(f"the agent broke off: {error.strerror}") from error
    return _body(reply, answer)


def _connect(connection: socket.socket, path: Path) -> None:
    try:
        with short_path(path) as name:
            connection.connect(name)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise AgentNotRunningError(
            f"the agent is not running; start it with `latch-endpoint run --data {path.parent}`"
        ) from error
    except PermissionError as error:
        raise EndpointError(f"the agent at {path.parent} is another user's; run this as that user, or root") from error
    except TimeoutError as error:
        raise AgentHangsError("the agent does not answer; is it stopped, or hanging?") from error
    except OSError as error:
        raise UnreachableError(f"the agent cannot be reached at {path}: {error.strerror}") from error


def _read(line: bytes) -> Reply:
    if not line.endswith(b"\n"):
        raise AgentNotRunningError("the agent broke off; is it being stopped?")
    try:
        return decode_reply(line)
    except ValueError as error:
        raise EndpointError("the agent is of another version than this command; restart it") from error


def _body(reply: Reply, answer: type[_Body]) -> _Body:
    if isinstance(reply, Failure):
        raise _KINDS[reply.kind](reply.text)
    if isinstance(reply, Answer) and isinstance(reply.answer, answer):
        return reply.answer
    raise EndpointError("the agent is of another version than this command; restart it")
