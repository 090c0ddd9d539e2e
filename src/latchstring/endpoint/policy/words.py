"""A policy in words, and the difference between two. Pure."""

from collections.abc import Iterator

from latchstring.endpoint.policy.schema import Policy, PortRange, Ruling
from latchstring.endpoint.policy.windows import DAYS, SingleWindow, Window
from latchstring.endpoint.ssh.ports import ANY_PORT, Service
from latchstring.protocol.durations import format_duration

_EVERY_DAY = "every day"


def policy_in_words(policy: Policy) -> dict[str, str]:
    """Return what a policy says, one line for each setting, in an order that people ask in."""
    return dict(_lines(policy))


def differences(before: Policy, after: Policy) -> list[tuple[str, str, str]]:
    """Return what is different: the setting, what it was, and what it is."""
    old, new = policy_in_words(before), policy_in_words(after)
    return [(key, old[key], new[key]) for key in new if old[key] != new[key]]


def _lines(policy: Policy) -> Iterator[tuple[str, str]]:
    yield "access", f"{policy.access} at the first start; after that it is where you put it"
    yield "falls back", _falls_back(policy)
    yield "windows", _windows(policy)
    yield "purposes", "all" if policy.purposes is None else ", ".join(policy.purposes)
    yield "engineers", "all of the vendor's" if policy.engineers is None else ", ".join(policy.engineers)
    for ruling, label in ((Ruling.GRANT, "granted"), (Ruling.ASK, "asked for"), (Ruling.REFUSE, "refused")):
        ruled = [known for known in policy.known_capabilities() if policy.ruling(known) is ruling]
        yield label, ", ".join(ruled) or "nothing"
    yield "services", ", ".join(f"{name} = {_address(service)}" for name, service in policy.services.items()) or "none"
    yield "run as", policy.run_as or "the agent's own account; nobody gets in if that is root"
    yield "hidden", ", ".join(policy.content_paths) or "nothing beside the agent's own files"
    yield "ports", ", ".join(map(_ports, policy.content_ports)) or "none are out of reach by themselves"
    yield "read-only", ", ".join(policy.read_only_paths) or "nothing beside the kernel's settings"
    yield "network", "the machine's" if policy.network == "host" else "none but a loopback of its own"
    yield "memory", "no limit" if policy.limits.memory is None else f"{policy.limits.memory // 1024**2} MiB"
    yield "processes", f"{policy.limits.processes} at once"
    yield "processors", "no limit" if policy.limits.cpus is None else f"{policy.limits.cpus:g}"
    yield "longest", format_duration(policy.longest_session)
    yield "idle", f"ends after {format_duration(policy.idle_timeout)} without a connection"
    yield "questions", f"lapse after {format_duration(policy.consent_timeout)}"
    yield "at once", f"{policy.max_sessions} sessions"
    grace = policy.controller_grace_seconds
    yield "controller gone", "sessions end at once" if grace == 0 else f"sessions end after {format_duration(grace)}"


def _falls_back(policy: Policy) -> str:
    if policy.access_for is None:
        return "never by itself"
    return f"to {policy.access_then}, {format_duration(policy.access_for)} after you turn it on"


def _windows(policy: Policy) -> str:
    if not policy.windows:
        return "always"
    return "; ".join(_window(window, policy.timezone) for window in policy.windows)


def _window(window: Window, timezone: str) -> str:
    if isinstance(window, SingleWindow):
        return f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M %Z}"
    days = _EVERY_DAY if set(window.days) == set(DAYS) else ", ".join(day.title() for day in window.days)
    return f"{days} {_clock(window.start)} to {_clock(window.end)} {timezone}"


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _ports(ports: PortRange) -> str:
    return str(ports.first) if ports.first == ports.last else f"{ports.first} to {ports.last}"


def _address(service: Service) -> str:
    host = f"[{service.host}]" if ":" in service.host else service.host
    return f"{host}:{'*' if service.port == ANY_PORT else service.port}"
