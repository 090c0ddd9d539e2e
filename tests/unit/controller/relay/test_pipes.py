"""The pool of pipes: what is lent, kept and closed."""

import fcntl
import os

import pytest

from latchstring.controller.relay.pipes import PipePool
from relay_parties import open_pipe_ends


@pytest.fixture
def pool() -> PipePool:
    """An empty pool."""
    return PipePool()


def test_empty_pipe_is_lent_again(pool: PipePool) -> None:
    """A pipe that is given back is lent to the next borrower."""
    pipe = pool.borrow()
    assert pool.lent == 1
    pool.give_back(pipe)
    assert pool.lent == 0
    assert pool.borrow() is pipe
    pool.discard(pipe)


def test_pipe_with_bytes_is_never_lent_again(pool: PipePool) -> None:
    """What one session left in a pipe cannot reach another session."""
    before = open_pipe_ends()
    pipe = pool.borrow()
    os.write(pipe.write_end, b"of one session")
    pool.discard(pipe)
    assert open_pipe_ends() == before
    assert pool.lent == 0


def test_pool_keeps_few_and_closes_all(pool: PipePool) -> None:
    """After a burst only some pipes stay open, and none after the pool is closed."""
    before = open_pipe_ends()
    for pipe in [pool.borrow() for _ in range(50)]:
        pool.give_back(pipe)
    assert open_pipe_ends() - before == 2 * 16
    pool.close()
    assert open_pipe_ends() == before


def test_small_pipe_is_good_enough(pool: PipePool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whose share of pipe memory is used up gets a small pipe and no error."""

    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    pipe = pool.borrow()
    os.write(pipe.write_end, b"bytes")
    assert os.read(pipe.read_end, 10) == b"bytes"
    pool.discard(pipe)
