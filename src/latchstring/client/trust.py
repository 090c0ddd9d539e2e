"""Whom the client trusts: the controller's root certificate, taken at login and pinned.

The root is fetched over a connection that proves nothing, and over which nothing secret is sent. It is accepted if its
fingerprint is the one that was given, or pinned before, or confirmed by a person who compared it; never by itself. What
serves people must then prove itself by that root, or, with a public certificate, by the system's authorities.
"""

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from latchstring.certs.errors import CertificateError, FingerprintMismatchError
from latchstring.certs.tls_contexts import client_context, unverified_bootstrap_context
from latchstring.certs.x509_parsing import load_certificate
from latchstring.certs.x509_verify import fingerprint, verify_root
from latchstring.client.address import Address
from latchstring.client.controller_api import ControllerApi
from latchstring.client.errors import TrustError, UnreachableError, UsageFaultError, one_line
from latchstring.client.https_transport import open_tls

_FINGERPRINT: Final = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


@dataclass(frozen=True, slots=True)
class TrustedController:
    """A controller whose root is the expected one, and which has proved itself. ``trust`` says by what."""

    name: str
    root: bytes
    root_fingerprint: str
    trust: Literal["root", "system"]

    def context(self) -> ssl.SSLContext:
        """Return a context that trusts exactly what the controller proved itself by."""
        return trusting_context(self.root, self.trust)


def trusting_context(root: bytes, trust: Literal["root", "system"]) -> ssl.SSLContext:
    """Return a context that trusts the root, or the system's authorities, and nothing else.

    Raises:
        TrustError: the root cannot be read.
    """
    try:
        return client_context(root) if trust == "root" else client_context(None, system_trust=True)
    except (ssl.SSLError, ValueError) as error:
        raise TrustError("the stored root certificate is damaged: run `latch login` again") from error


def check_fingerprint_form(text: str) -> str:
    """Return ``text`` if it can be a fingerprint.

    Raises:
        UsageFaultError: it cannot.
    """
    if not _FINGERPRINT.fullmatch(text.strip()):
        raise UsageFaultError(
            f"{one_line(text, 80)!r} is not a fingerprint: `latch-controller fingerprint` prints it, like SHA256:8Jx…"
        )
    return text.strip()


def establish_trust(
    address: Address, *, given: str | None, pinned: str | None, confirm: Callable[[str], None]
) -> TrustedController:
    """Fetch the controller's root, accept it, and check that the controller proves itself.

    1. Fetch the root, over a connection that trusts anyone.
    2. Accept it: it is the given fingerprint's; or the pinned one's; or ``confirm`` returns.
    3. Connect anew, trusting that root; if the listener has a certificate of others, the system's authorities.

    Args:
        address: where the controller listens for people.
        given: the fingerprint that the user passed.
        pinned: the fingerprint that was stored for this address at an earlier login.
        confirm: asks a person about the fingerprint; raises if the answer is no.

    Raises:
        TrustError: a step failed.
        UnreachableError: the controller cannot be reached.
    """
    # 1.
    with ControllerApi(address, unverified_bootstrap_context()) as api:
        unverified = api.root()
    root = unverified.root_certificate.encode()
    try:
        actual = fingerprint(load_certificate(root))
        # 2.
        verify_root(root, given or pinned or actual)
    except FingerprintMismatchError as error:
        raise _mismatch(address, actual, given=given) from error
    except CertificateError as error:
        raise TrustError(f"the root certificate of {address.authority} cannot be used: {error}") from error
    if given is None and pinned is None:
        confirm(actual)
    # 3.
    return TrustedController(unverified.controller_name, root, actual, _find_proof(address, root))


def _mismatch(address: Address, actual: str, *, given: str | None) -> TrustError:
    if given is not None:
        return TrustError(
            f"the root of {address.authority} is {actual}, not the {given} that you gave: "
            "check both with `latch-controller fingerprint` on the controller; nothing was changed"
        )
    return TrustError(
        f"the root of {address.authority} has changed to {actual} since you last logged in: if its operator confirms "
        "that, log in with --fingerprint; nothing was changed"
    )


def _find_proof(address: Address, root: bytes) -> Literal["root", "system"]:
    kinds: tuple[Literal["root", "system"], ...] = ("root", "system")
    reason = ""
    for trust in kinds:
        try:
            open_tls(address, trusting_context(root, trust)).close()
        except ssl.SSLCertVerificationError as error:
            reason = one_line(error.verify_message)
        except OSError as error:
            raise UnreachableError(
                f"the controller at {address.authority} cannot be reached: {error.strerror or error}"
            ) from error
        else:
            return trust
    raise TrustError(
        f"the certificate of {address.authority} is issued neither for that name by the controller's root nor by a "
        f"public authority ({reason}): check the host name in the URL"
    )
