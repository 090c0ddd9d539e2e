"""Endpoints come and go: invited by the vendor, enrolled by a machine of the customer, renewed, revoked."""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from latchstring.certs.errors import CertificateError
from latchstring.certs.ssh_authority import SshHostAuthority
from latchstring.certs.ssh_public_key import key_fingerprint, parse_public_key
from latchstring.certs.x509_authority import X509Authority
from latchstring.controller.errors import (
    HelloRefusedError,
    NameTakenError,
    StoreUnavailableError,
    UnknownNameError,
)
from latchstring.controller.log.names import OPERATOR_LOG
from latchstring.controller.log.refusals import RefusalLog
from latchstring.controller.log.writer import LogWriter
from latchstring.controller.ports import Clock, Random
from latchstring.controller.store.records import Customer, Endpoint, Invitation
from latchstring.controller.store.store import Store, UnitOfWork
from latchstring.protocol import events
from latchstring.protocol.enrolment import (
    CODE_LIFE_SECONDS,
    SECRET_BYTES,
    EnrolmentCode,
    EnrolmentKeys,
    EnrolmentProofError,
    EnrolmentRequest,
    EnrolmentResponse,
    verify_enrolment,
)
from latchstring.protocol.events import EnrolmentFailure
from latchstring.protocol.ids import RANDOM_BYTES, make_id, parse_endpoint_name
from latchstring.protocol.messages import GoodbyeCode
from latchstring.protocol.problems import ProblemCode, ProblemError

REVOKED_RETRY_SECONDS: Final = 86_400

_REFUSALS: Final = {
    EnrolmentFailure.UNKNOWN_CODE: "the enrolment code is not known here; ask the vendor for a new one",
    EnrolmentFailure.WRONG_SIGNATURE: "the enrolment code is not known here; ask the vendor for a new one",
    EnrolmentFailure.USED_CODE: "the enrolment code was used or replaced; ask the vendor for a new one",
    EnrolmentFailure.EXPIRED_CODE: "the enrolment code has expired; ask the vendor for a new one",
    EnrolmentFailure.BAD_KEYS: "the keys in the request cannot be certified; update latchstring and try again",
}


@dataclass(frozen=True, slots=True)
class EnrolmentIdentity:
    """What the controller tells endpoints about itself. ``root_sha256`` is over the root certificate's DER."""

    controller_name: str
    tunnel_host: str
    tunnel_port: int
    relay_host: str
    relay_port: int
    user_ca: str
    root_sha256: bytes


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation: its code is shown once, and only its public half is kept."""

    endpoint_id: str
    code: EnrolmentCode
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _Certificates:
    client: str
    host: str


class _RefusedError(Exception):
    """An enrolment is refused, once that is logged."""

    def __init__(self, failure: EnrolmentFailure, endpoint: Endpoint | None) -> None:
        super().__init__(failure.value)
        self.failure = failure
        self.endpoint = endpoint


class EnrolmentService:
    """Brings endpoints in and strikes them off.

    Raises (all methods):
        StoreUnavailableError: it cannot be logged now, or a key cannot be reached; nothing was changed.
    """

    def __init__(  # noqa: PLR0917 - what it is composed of; the composition root alone calls it
        self,
        store: Store,
        writer: LogWriter,
        clock: Clock,
        random: Random,
        x509: X509Authority,
        host_ca: SshHostAuthority,
        identity: EnrolmentIdentity,
        refusals: RefusalLog,
    ) -> None:
        self._store = store
        self._writer = writer
        self._clock = clock
        self._random = random
        self._x509 = x509
        self._host_ca = host_ca
        self._identity = identity
        self._refusals = refusals

    async def invite(self, endpoint_name: str, customer_name: str, *, address: str, replace: bool = False) -> Invited:
        """Make a one-time code for a machine that is to be ``endpoint_name`` of this customer.

        Args:
            endpoint_name: a name that no other endpoint bears.
            customer_name: the customer's exact name.
            address: where the listener for people is reached, ``host:port``; it goes into the code.
            replace: void an older code of the same endpoint, if nobody took it up.

        Raises:
            ValueError: the endpoint's name has not its form.
            UnknownNameError: there is no such customer.
            NameTakenError: the name is in use.
        """
        name = parse_endpoint_name(endpoint_name)
        code = EnrolmentCode(address, self._identity.root_sha256, self._random(SECRET_BYTES))
        now = self._clock.now()
        expires_at = now + timedelta(seconds=CODE_LIFE_SECONDS)
        async with self._store.write() as tx:
            customer = await tx.customers.by_name(customer_name)
            if customer is None:
                raise UnknownNameError(f"there is no customer {customer_name!r}; see latch-controller customer list")
            endpoint_id = await self._claim_name(tx, name, customer, replace=replace)
            await tx.invitations.add(Invitation(code.public_key_hex(), endpoint_id, expires_at))
            invited = events.EndpointInvited(endpoint_id=endpoint_id, endpoint_name=name)
            await self._writer.record(tx, customer.id, invited)
        return Invited(endpoint_id, code, expires_at)

    async def enrol(self, request: EnrolmentRequest, source: str) -> EnrolmentResponse:
        """Let the machine that holds a code in, from the IP address ``source``.

        1. The invitation is known.
        2. The request is signed with its code, so the sender holds it and chose these keys.
        3. It was not used before, and not replaced by another.
        4. It has not expired, by this controller's clock.
        5. The keys can be certified.
        6. Keep the keys, use the invitation up, and log that, in one transaction.

        A refusal is logged before it is answered. A stranger can cause one, so there is a limit on how many, from one
        source and in all; what exceeds it is counted.

        Raises:
            ProblemError: ``enrolment_refused``, or ``too_many_attempts``.
        """
        try:
            await self._require_known(request)
            async with self._store.write() as tx:
                return await self._enrol(tx, request, source)
        except _RefusedError as error:
            if not await self._log_refusal(error, source):
                raise ProblemError(
                    ProblemCode.TOO_MANY_ATTEMPTS, "too many enrolments were refused lately; try again in ten minutes"
                ) from error
            raise ProblemError(ProblemCode.ENROLMENT_REFUSED, _REFUSALS[error.failure]) from error

    async def renew(self, endpoint_id: str, signing_request: str) -> str:
        """Return a new tunnel certificate (PEM) for the key in an endpoint's signing request (PKCS 10, PEM).

        Raises:
            CertificateRequestError: the request is malformed or not signed by its key.
            HelloRefusedError: the endpoint is not enrolled any more.
        """
        certificate = self._issue_client(signing_request, endpoint_id)
        async with self._store.write() as tx:
            endpoint = await tx.endpoints.by_id(endpoint_id)
            if endpoint is None or not endpoint.is_enrolled:
                raise HelloRefusedError(
                    GoodbyeCode.REVOKED, "the endpoint was revoked", retry_after_seconds=REVOKED_RETRY_SECONDS
                )
            renewed = events.EndpointCertificateRenewed(endpoint_id=endpoint_id)
            await self._writer.record(tx, endpoint.customer_id, renewed)
        return certificate

    async def revoke(self, endpoint_name: str) -> str:
        """Strike an endpoint off, void its codes, and return its id. The serving process then cuts it off.

        Raises:
            UnknownNameError: there is no such endpoint.
        """
        now = self._clock.now()
        async with self._store.write() as tx:
            endpoint = await tx.endpoints.by_name(endpoint_name)
            if endpoint is None:
                raise UnknownNameError(f"there is no endpoint {endpoint_name!r}; see latch-controller endpoint list")
            await tx.endpoints.revoke(endpoint.id, at=now)
            await tx.invitations.void(endpoint.id, at=now)
            await self._writer.record(tx, endpoint.customer_id, events.EndpointRevoked(endpoint_id=endpoint.id))
        return endpoint.id

    async def _claim_name(self, tx: UnitOfWork, name: str, customer: Customer, *, replace: bool) -> str:
        """Return the id of the endpoint that is to bear ``name``."""
        endpoint = await tx.endpoints.by_name(name)
        now = self._clock.now()
        if endpoint is None:
            endpoint_id = make_id("ept", self._random(RANDOM_BYTES))
            await tx.endpoints.invite(endpoint_id=endpoint_id, name=name, customer_id=customer.id, at=now)
            return endpoint_id
        if endpoint.is_enrolled:
            raise NameTakenError(
                f"the name {name} is taken: it is enrolled already; if its machine was replaced, revoke it first: "
                f"latch-controller endpoint revoke {name}"
            )
        if endpoint.customer_id != customer.id:
            raise NameTakenError(f"endpoint {name} is invited for customer {endpoint.customer_name!r}; revoke it first")
        if not replace:
            raise NameTakenError(
                f"the name {name} is taken: it is invited already; --replace makes a new code and voids the older"
            )
        await tx.invitations.void(endpoint.id, at=now)
        return endpoint.id

    async def _require_known(self, request: EnrolmentRequest) -> None:
        """Refuse a code that was never given out before the turn to write is taken, for which others wait."""
        async with self._store.read() as tx:
            if await tx.invitations.by_public_key(request.keys.invitation_key) is None:
                raise _RefusedError(EnrolmentFailure.UNKNOWN_CODE, None)

    async def _enrol(self, tx: UnitOfWork, request: EnrolmentRequest, source: str) -> EnrolmentResponse:
        # 1.
        invitation = await tx.invitations.by_public_key(request.keys.invitation_key)
        endpoint = None if invitation is None else await tx.endpoints.by_id(invitation.endpoint_id)
        if invitation is None or endpoint is None:
            raise _RefusedError(EnrolmentFailure.UNKNOWN_CODE, None)
        # 2.
        try:
            keys = verify_enrolment(request)
        except (EnrolmentProofError, ValueError) as error:
            raise _RefusedError(EnrolmentFailure.WRONG_SIGNATURE, endpoint) from error
        if not hmac.compare_digest(keys.invitation_key, invitation.public_key):
            raise _RefusedError(EnrolmentFailure.WRONG_SIGNATURE, endpoint)
        # 3.
        if invitation.used_at is not None or invitation.voided_at is not None or endpoint.revoked_at is not None:
            raise _RefusedError(EnrolmentFailure.USED_CODE, endpoint)
        # 4.
        now = self._clock.now()
        if now >= invitation.expires_at:
            raise _RefusedError(EnrolmentFailure.EXPIRED_CODE, endpoint)
        # 5.
        certificates = self._certify(keys, endpoint)
        # 6.
        await tx.invitations.use(invitation.public_key, at=now)
        await tx.endpoints.enrol(endpoint.id, at=now, ssh_host_key=keys.ssh_host_key, journal_key=keys.journal_key)
        await self._writer.record(tx, endpoint.customer_id, _enrolled(keys, endpoint, source))
        return self._response(endpoint, certificates)

    def _certify(self, keys: EnrolmentKeys, endpoint: Endpoint) -> _Certificates:
        try:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(keys.journal_key))
            client = self._issue_client(keys.signing_request, endpoint.id)
            host = self._host_ca.issue_host(endpoint_name=endpoint.name, public_key=keys.ssh_host_key)
        except (CertificateError, ValueError) as error:
            raise _RefusedError(EnrolmentFailure.BAD_KEYS, endpoint) from error
        except OSError as error:
            raise StoreUnavailableError from error
        return _Certificates(client=client, host=host)

    def _issue_client(self, signing_request: str, endpoint_id: str) -> str:
        try:
            certificate = self._x509.issue_client(signing_request.encode(), endpoint_id, self._clock.now())
        except OSError as error:
            raise StoreUnavailableError from error
        return certificate.public_bytes(Encoding.PEM).decode()

    def _response(self, endpoint: Endpoint, certificates: _Certificates) -> EnrolmentResponse:
        return EnrolmentResponse(
            endpoint_id=endpoint.id,
            endpoint_name=endpoint.name,
            customer_id=endpoint.customer_id,
            customer_name=endpoint.customer_name,
            controller_name=self._identity.controller_name,
            tunnel_host=self._identity.tunnel_host,
            tunnel_port=self._identity.tunnel_port,
            relay_host=self._identity.relay_host,
            relay_port=self._identity.relay_port,
            root_certificate=self._x509.root_pem().decode(),
            client_certificate=certificates.client,
            ssh_host_certificate=certificates.host,
            ssh_user_ca=self._identity.user_ca,
            log_verifier_key=self._writer.verifier_key(endpoint.customer_id),
        )

    async def _log_refusal(self, refused: _RefusedError, source: str) -> bool:
        """Log a refusal; False if it was counted only."""
        endpoint = refused.endpoint
        event = events.EndpointEnrolmentRefused(
            endpoint_id=None if endpoint is None else endpoint.id, source=source, failure=refused.failure
        )
        return await self._refusals.record(OPERATOR_LOG if endpoint is None else endpoint.customer_id, event)


def _enrolled(keys: EnrolmentKeys, endpoint: Endpoint, source: str) -> events.EndpointEnrolled:
    journal_key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(keys.journal_key))
    return events.EndpointEnrolled(
        endpoint_id=endpoint.id,
        source=source,
        ssh_host_key=key_fingerprint(parse_public_key(keys.ssh_host_key)),
        journal_key=key_fingerprint(journal_key),
    )
