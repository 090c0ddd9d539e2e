"""What a change of policy leaves of a live session. Pure.

A session keeps what the new policy would give it and what it has, and nothing that has to be different from its start:
account, masks, network and limits belong to its sandbox. What was used already cannot be taken away by narrowing, since
a process that was started with it may run on; then the session ends.
"""

from dataclasses import dataclass
from datetime import datetime

from latchstring.endpoint.policy.decision import refusal, seconds_open
from latchstring.endpoint.policy.schema import Policy, Ruling
from latchstring.protocol.capabilities import FORWARD_PREFIX
from latchstring.protocol.grants import Grant


@dataclass(frozen=True, slots=True)
class Running:
    """A live session, as far as a change of policy asks.

    Attributes:
        grant: what was consented to.
        policy: under which it was opened.
        capabilities: what it has of its grant still.
        used: what of it was used already.
        asked: whether a person said yes to it.
        seconds: for how long it has run.
    """

    grant: Grant
    policy: Policy
    capabilities: frozenset[str]
    used: frozenset[str]
    asked: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left of a session.

    Attributes:
        capabilities: which it may use from now on.
        seconds_left: the most that it may last from now on.
    """

    capabilities: frozenset[str]
    seconds_left: float


def what_is_left(policy: Policy, running: Running, now: datetime) -> Kept | None:
    """Return what a new policy leaves of a session; None if it has to end."""
    if refusal(policy, running.grant) is not None or not _suits(policy, running.policy):
        return None
    kept = frozenset(capability for capability in running.capabilities if _may_keep(policy, running, capability))
    seconds_left = min(policy.longest_session - running.seconds, seconds_open(policy, now))
    if not kept or running.used - kept or seconds_left < 1:
        return None
    return Kept(kept, seconds_left)


def _may_keep(policy: Policy, running: Running, capability: str) -> bool:
    ruling = policy.ruling(capability)
    if ruling is Ruling.REFUSE or (ruling is Ruling.ASK and not running.asked):
        return False
    if capability.startswith(FORWARD_PREFIX):
        service = capability.removeprefix(FORWARD_PREFIX)
        return policy.services[service] == running.policy.services.get(service)
    return True


def _suits(policy: Policy, before: Policy) -> bool:
    """Return whether a sandbox that was made for the policy before does for this one."""
    return (
        policy.run_as == before.run_as
        and policy.network == before.network
        and policy.limits == before.limits
        and set(policy.content_paths) <= set(before.content_paths)
        and set(policy.read_only_paths) <= set(before.read_only_paths)
    )
