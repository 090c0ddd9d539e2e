"""Invitation, enrolment, renewal, revocation: one machine for one code, and every refusal on record."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from controller_parts import NAME, SOURCE, START, Core, enrolment_request
from latchstring.certs.errors import CertificateRequestError
from latchstring.certs.identity import create_certificate_request
from latchstring.certs.signer import FileSigner
from latchstring.certs.x509_parsing import load_certificate
from latchstring.certs.x509_verify import endpoint_id_of
from latchstring.controller.enrolment.directory import EndpointDirectory
from latchstring.controller.enrolment.service import Invited
from latchstring.controller.errors import HelloRefusedError, NameTakenError, UnknownNameError
from latchstring.controller.log.names import OPERATOR_LOG
from latchstring.controller.log.refusals import ENTRY_BURST, ENTRY_BURST_OF_ALL
from latchstring.protocol import events
from latchstring.protocol.enrolment import EnrolmentCode, EnrolmentRequest, parse_enrolment_code
from latchstring.protocol.events import EnrolmentFailure
from latchstring.protocol.problems import ProblemCode, ProblemError

ADDRESS = "support.example.test:8443"


async def invite(core: Core, name: str = "acme-pbx1", *, replace: bool = False) -> Invited:
    """Invite a machine of the one customer."""
    if not await core.customers.list():
        await core.customers.add("Acme Dental")
    return await core.enrolment.invite(name, "Acme Dental", address=ADDRESS, replace=replace)


async def refused(core: Core, request: EnrolmentRequest, log_id: str) -> EnrolmentFailure:
    """Be refused, and return the failure that was logged."""
    with pytest.raises(ProblemError) as caught:
        await core.enrolment.enrol(request, SOURCE)
    assert caught.value.code is ProblemCode.ENROLMENT_REFUSED
    event = (await core.log(log_id))[-1].event
    assert isinstance(event, events.EndpointEnrolmentRefused)
    assert event.source == SOURCE
    return event.failure


async def customer(core: Core) -> str:
    """Return the one customer's id."""
    return (await core.customers.list())[0].id


async def test_a_machine_enrols(core: Core) -> None:
    """The code leads to certificates for the machine's own keys, and the log has their fingerprints."""
    invited = await invite(core)
    assert parse_enrolment_code(invited.code.encode()) == invited.code
    assert invited.expires_at == START + timedelta(hours=24)
    response = await core.enrolment.enrol(enrolment_request(invited.code, Ed25519PrivateKey.generate()), SOURCE)
    assert (response.endpoint_id, response.endpoint_name) == (invited.endpoint_id, "acme-pbx1")
    assert (response.controller_name, response.customer_name) == (NAME, "Acme Dental")
    assert (response.tunnel_host, response.tunnel_port) == (NAME, 8444)
    assert (response.relay_host, response.relay_port) == (NAME, 7022)
    assert endpoint_id_of(load_certificate(response.client_certificate.encode())) == invited.endpoint_id
    assert response.log_verifier_key.startswith(f"{NAME}/audit/{response.customer_id}+")
    assert await core.types(response.customer_id) == ["log.opened", "endpoint.invited", "endpoint.enrolled"]


async def test_a_code_works_once(core: Core) -> None:
    """A second machine with the same code, whatever its keys, stays out, and the first stays in."""
    invited = await invite(core)
    journal = Ed25519PrivateKey.generate()
    await core.enrolment.enrol(enrolment_request(invited.code, journal), SOURCE)
    second = enrolment_request(invited.code, Ed25519PrivateKey.generate())
    assert await refused(core, second, await customer(core)) is EnrolmentFailure.USED_CODE
    async with core.store.read() as tx:
        endpoint = await tx.endpoints.by_id(invited.endpoint_id)
    assert endpoint is not None
    assert endpoint.journal_key == journal.public_key().public_bytes_raw().hex()


async def test_a_code_expires(core: Core) -> None:
    """A day later a code is worth nothing."""
    invited = await invite(core)
    core.clock.advance(24 * 3600)
    request = enrolment_request(invited.code, Ed25519PrivateKey.generate())
    assert await refused(core, request, await customer(core)) is EnrolmentFailure.EXPIRED_CODE


async def test_an_unknown_code_is_refused_in_the_vendors_log(core: Core) -> None:
    """A code that was never given out is no customer's business."""
    await invite(core)
    request = enrolment_request(EnrolmentCode(ADDRESS, b"r" * 32, b"s" * 16), Ed25519PrivateKey.generate())
    assert await refused(core, request, OPERATOR_LOG) is EnrolmentFailure.UNKNOWN_CODE


async def test_strangers_do_not_fill_the_log(core: Core) -> None:
    """Beyond a burst a source's refusals leave no entry, nor those of many sources together; a good code works on."""
    invited = await invite(core)
    stranger = enrolment_request(EnrolmentCode(ADDRESS, b"r" * 32, b"s" * 16), Ed25519PrivateKey.generate())
    burst, of_all = int(ENTRY_BURST), int(ENTRY_BURST_OF_ALL)

    async def tries(source: str, count: int) -> set[ProblemCode]:
        codes = set()
        for _ in range(count):
            with pytest.raises(ProblemError) as caught:
                await core.enrolment.enrol(stranger, source)
            codes.add(caught.value.code)
        return codes

    assert await tries("192.0.2.1", burst) == {ProblemCode.ENROLMENT_REFUSED}
    assert await tries("192.0.2.1", 50) == {ProblemCode.TOO_MANY_ATTEMPTS}
    assert await tries("2001:db8::1", burst // 2) | await tries("2001:db8::2", burst // 2) == {
        ProblemCode.ENROLMENT_REFUSED
    }
    assert await tries("2001:db8::3", 5) == {ProblemCode.TOO_MANY_ATTEMPTS}
    for number in range(20):
        await tries(f"198.51.100.{number}", burst)
    assert (await core.types(OPERATOR_LOG)).count("endpoint.enrolment_refused") == of_all
    await core.dependencies.refusals.close()
    assert (await core.log(OPERATOR_LOG))[-1].event == events.RefusalsCounted(
        refused="endpoint.enrolment_refused", account_id=None, count=22 * burst + 50 + 5 - of_all
    )
    request = enrolment_request(invited.code, Ed25519PrivateKey.generate())
    assert (await core.enrolment.enrol(request, "192.0.2.1")).endpoint_name == "acme-pbx1"


async def test_keys_are_bound_to_the_code(core: Core) -> None:
    """Who listens in cannot put keys of their own into somebody's request."""
    invited = await invite(core)
    genuine = enrolment_request(invited.code, Ed25519PrivateKey.generate())
    thief = enrolment_request(invited.code, Ed25519PrivateKey.generate())
    mixed = genuine.model_copy(update={"keys": thief.keys})
    garbled = genuine.model_copy(update={"signature": "*" * 88})
    for request in (mixed, garbled):
        assert await refused(core, request, await customer(core)) is EnrolmentFailure.WRONG_SIGNATURE
    await core.enrolment.enrol(genuine, SOURCE)


@pytest.mark.parametrize(
    "changes", [{"signing_request": "nonsense"}, {"ssh_host_key": "ssh-ed25519 " + "A" * 68}], ids=str
)
async def test_bad_keys_do_not_use_the_code_up(core: Core, changes: dict[str, str]) -> None:
    """Keys that cannot be certified are refused, and the code is still good for better ones."""
    invited = await invite(core)
    journal = Ed25519PrivateKey.generate()
    request = enrolment_request(invited.code, journal, **changes)
    assert await refused(core, request, await customer(core)) is EnrolmentFailure.BAD_KEYS
    await core.enrolment.enrol(enrolment_request(invited.code, journal), SOURCE)


async def test_a_name_is_taken(core: Core) -> None:
    """A name that is invited or enrolled is taken; replacing voids the older code; revoking frees the name."""
    older = await invite(core)
    with pytest.raises(NameTakenError, match="--replace"):
        await invite(core)
    newer = await invite(core, replace=True)
    assert newer.endpoint_id == older.endpoint_id
    request = enrolment_request(older.code, Ed25519PrivateKey.generate())
    assert await refused(core, request, await customer(core)) is EnrolmentFailure.USED_CODE
    await core.enrolment.enrol(enrolment_request(newer.code, Ed25519PrivateKey.generate()), SOURCE)
    with pytest.raises(NameTakenError, match="revoke it first"):
        await invite(core, replace=True)
    await core.customers.add("Other Ltd")
    await invite(core, "acme-pbx2")
    with pytest.raises(NameTakenError, match="for customer"):
        await core.enrolment.invite("acme-pbx2", "Other Ltd", address=ADDRESS, replace=True)
    await core.enrolment.revoke("acme-pbx1")
    assert (await invite(core)).endpoint_id != older.endpoint_id


async def test_unknown_names_are_named(core: Core) -> None:
    """A customer or endpoint that does not exist, and a name that can be none, are clear errors."""
    with pytest.raises(UnknownNameError, match="no customer 'Nobody'"):
        await core.enrolment.invite("acme-pbx1", "Nobody", address=ADDRESS)
    with pytest.raises(UnknownNameError, match="no endpoint 'acme-pbx1'"):
        await core.enrolment.revoke("acme-pbx1")
    with pytest.raises(ValueError, match="not an endpoint name"):
        await core.enrolment.invite("Acme PBX", "Nobody", address=ADDRESS)
    await core.customers.add("Acme Dental")
    with pytest.raises(NameTakenError, match="there is a customer"):
        await core.customers.add("Acme Dental")


async def test_revoking_voids_an_open_code(core: Core) -> None:
    """An invitation that is taken back cannot be taken up."""
    invited = await invite(core)
    await core.enrolment.revoke("acme-pbx1")
    request = enrolment_request(invited.code, Ed25519PrivateKey.generate())
    assert await refused(core, request, await customer(core)) is EnrolmentFailure.USED_CODE


async def test_secrets_are_not_stored(core: Core) -> None:
    """The code's secret is neither in the database nor in what is printed of an invitation."""
    invited = await invite(core)
    stored = b"".join(path.read_bytes() for path in core.path.parent.iterdir())
    assert invited.code.secret not in stored
    assert invited.code.secret.hex().encode() not in stored
    assert repr(invited.code.secret) not in repr(invited)


async def test_certificates_renew(core: Core) -> None:
    """An enrolled endpoint gets a certificate for a new key, logged; a revoked one, or a bad request, gets none."""
    machine = await core.machine()
    tls = FileSigner(ec.generate_private_key(ec.SECP256R1()))
    request = create_certificate_request(tls, "an endpoint").decode()
    renewed = load_certificate((await core.enrolment.renew(machine.endpoint_id, request)).encode())
    assert renewed.public_key() == tls.public_key
    assert endpoint_id_of(renewed) == machine.endpoint_id
    assert (await core.types(machine.customer_id))[-1] == "endpoint.certificate_renewed"
    with pytest.raises(CertificateRequestError):
        await core.enrolment.renew(machine.endpoint_id, "nonsense")
    await core.enrolment.revoke(machine.name)
    with pytest.raises(HelloRefusedError):
        await core.enrolment.renew(machine.endpoint_id, request)


async def test_directory_shows_what_is_there(core: Core) -> None:
    """Endpoints are listed with their customer, switch, skew and live sessions; elsewhere all count as offline."""
    actor, machine = await core.actor(), await core.machine()
    await invite(core, "acme-pbx2")
    await core.connect(machine)
    await core.grant(actor, machine)
    first, second = (await EndpointDirectory(core.store, core.channels).list()).endpoints
    assert (first.name, first.online, first.access, first.live_sessions) == ("acme-pbx1", True, "ask", 1)
    assert (first.customer, first.agent_version, first.clock_skew_seconds) == ("Acme Dental", "0.1.0", 0)
    assert (second.name, second.online, second.last_seen_at) == ("acme-pbx2", False, None)
    assert not any(view.online for view in (await EndpointDirectory(core.store, None).list()).endpoints)


async def test_nobody_else_can_sign_for_a_code(core: Core) -> None:
    """A request signed with any other key than the code's is refused even if it names the code."""
    invited = await invite(core)
    other = enrolment_request(EnrolmentCode(ADDRESS, b"r" * 32, b"s" * 16), Ed25519PrivateKey.generate())
    keys = other.keys.model_copy(update={"invitation_key": invited.code.public_key_hex()})
    request = other.model_copy(update={"keys": keys})
    assert await refused(core, request, await customer(core)) is EnrolmentFailure.WRONG_SIGNATURE
