"""Identifiers that travel between the parties.

An identifier is a prefix that names its kind and 16 characters of lower-case base32 (80 random bits):
``ses-k3v7q2m4n5p6r7s2``. It is not a secret and authorises nothing. An endpoint also has a *name*, a DNS label chosen
by the vendor (``acme-pbx1``), which engineers type.
"""

import base64
import re
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints

RANDOM_BYTES: Final = 10
NAME_PATTERN: Final = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$"

_NAME = re.compile(NAME_PATTERN)


def _identifier(prefix: str) -> StringConstraints:
    return StringConstraints(pattern=rf"^{prefix}-[a-z2-7]{{16}}$")


AccountId = Annotated[str, _identifier("acc")]
CustomerId = Annotated[str, _identifier("cus")]
EndpointId = Annotated[str, _identifier("ept")]
SessionId = Annotated[str, _identifier("ses")]
DialId = Annotated[str, _identifier("dia")]


def make_id(prefix: str, random: bytes) -> str:
    """Return the identifier of kind ``prefix`` for exactly :data:`RANDOM_BYTES` random bytes."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"an identifier is made of {RANDOM_BYTES} random bytes, not {len(random)}")
    return f"{prefix}-{base64.b32encode(random).decode().lower()}"


def parse_endpoint_name(text: str) -> str:
    """Return ``text`` if it is a DNS label of lower-case letters, digits and hyphens.

    Raises:
        ValueError: it is not.
    """
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"{text[:80]!r} is not an endpoint name; use 1 to 63 of a-z, 0-9 and '-', not starting or ending with '-'"
        )
    return text


EndpointName = Annotated[str, AfterValidator(parse_endpoint_name)]
"""The name of an endpoint, validated."""
