"""What a policy that cannot be meant as a whole clearly takes away. Pure.

Whoever edits a policy and makes a mistake in one line has said in another, perhaps, that a capability is refused. The
policy before stays in force; each setting that is right by itself, and narrower than it was, takes effect all the same.
What is wider, or neither, waits until the whole can be meant.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from latchstring.endpoint.policy.schema import Limits, Policy, Ruling
from latchstring.protocol.access import AccessMode

_STRICTNESS: Final = {Ruling.GRANT: 0, Ruling.ASK: 1, Ruling.REFUSE: 2}


def clearly_narrowed(policy: Policy, document: Mapping[str, Any]) -> Policy:
    """Return ``policy`` with what ``document`` clearly takes away; it may be wrong in any way.

    Args:
        policy: in force.
        document: what the file says.
    """
    for key, value in document.items():
        read = _NARROW.get(key)
        if read is not None:
            policy = read(policy, key, value)
    return policy


def _replaced(policy: Policy, key: str, value: Any) -> Policy | None:
    """Return the policy with one setting replaced; None if it cannot be meant."""
    try:
        return Policy.model_validate({name: getattr(policy, name) for name in policy.model_fields_set} | {key: value})
    except (ValidationError, TypeError):
        return None


def _if(is_narrower: Callable[[Any, Any], bool]) -> Callable[[Policy, str, Any], Policy]:
    """Return what takes a setting if its new value is narrower than that before."""

    def read(policy: Policy, key: str, value: Any) -> Policy:
        changed = _replaced(policy, key, value)
        if changed is None or not is_narrower(getattr(policy, key), getattr(changed, key)):
            return policy
        return changed

    return read


def _more_paths(policy: Policy, key: str, value: Any) -> Policy:
    """Take every path that is one, and keep those that there are."""
    for path in value if isinstance(value, list) else ():
        before = getattr(policy, key)
        changed = policy if path in before else _replaced(policy, key, [*before, path])
        policy = changed or policy
    return policy


def _stricter_rulings(policy: Policy, key: str, value: Any) -> Policy:
    for capability, ruling in value.items() if isinstance(value, dict) else ():
        rulings = {**policy.capabilities, capability: ruling}
        changed = _replaced(policy, key, rulings)
        if changed is None and ruling == Ruling.REFUSE and _is_known(policy, capability):
            # A policy that refuses everything is none to start with, but can be meant as one that takes away.
            changed = policy.model_copy(update={key: {**rulings, capability: Ruling.REFUSE}})
        if changed is not None and all(
            _STRICTNESS[changed.ruling(known)] >= _STRICTNESS[policy.ruling(known)]
            for known in policy.known_capabilities()
        ):
            policy = changed
    return policy


def _is_known(policy: Policy, capability: str) -> bool:
    return capability == "others" or capability in policy.known_capabilities()


def _fewer_services(policy: Policy, key: str, value: Any) -> Policy:
    """Take away the services that are gone, with what was said of them."""
    gone = {f"forward:{name}" for name in policy.services if isinstance(value, dict) and name not in value}
    rulings = {capability: ruling for capability, ruling in policy.capabilities.items() if capability not in gone}
    silent = policy.model_copy(update={"capabilities": rulings})
    changed = _replaced(silent, key, value)
    return changed if changed is not None and changed.services.items() < policy.services.items() else policy


def _fewer(before: Any, after: Any) -> bool:
    """Whether a list of what is accepted got shorter; None accepts everything."""
    return after is not None and (before is None or set(after) < set(before))


def _less(before: float | None, after: float | None) -> bool:
    return after is not None and (before is None or after < before)


def _smaller_limits(before: Limits, after: Limits) -> bool:
    pairs = [
        (before.memory, after.memory),
        (before.processes, after.processes),
        (before.cpus, after.cpus),
    ]
    return all(old == new or _less(old, new) for old, new in pairs)


def _fewer_windows(before: tuple[Any, ...], after: tuple[Any, ...]) -> bool:
    return bool(after) and (not before or set(after) < set(before))


_NARROW: Final = MappingProxyType(
    {
        "access": _if(lambda _, after: after is AccessMode.OFF),
        "access_for": _if(_less),
        "windows": _if(_fewer_windows),
        "purposes": _if(_fewer),
        "engineers": _if(_fewer),
        "capabilities": _stricter_rulings,
        "services": _fewer_services,
        "run_as": _if(lambda before, after: before is None and after is not None),
        "content_paths": _more_paths,
        "content_ports": _more_paths,
        "read_only_paths": _more_paths,
        "network": _if(lambda _, after: after == "none"),
        "limits": _if(_smaller_limits),
        "longest_session": _if(_less),
        "idle_timeout": _if(_less),
        "consent_timeout": _if(_less),
        "max_sessions": _if(_less),
        "controller_grace_seconds": _if(_less),
    }
)
