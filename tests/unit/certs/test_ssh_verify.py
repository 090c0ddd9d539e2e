"""SSH certificates: what the authorities issue verifies, and nothing else does."""

import base64
import copy
import dataclasses
import pickle
from collections.abc import Callable

import asyncssh
import pytest
from asyncssh.public_key import CERT_TYPE_HOST, CERT_TYPE_USER, SSHOpenSSHCertificate
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import SSHCertificateBuilder, SSHCertificateType
from hypothesis import given, settings
from hypothesis import strategies as st

from latchstring.certs.errors import CertificateError
from latchstring.certs.signer import FileSigner
from latchstring.certs.ssh_authority import SshHostAuthority, SshUserAuthority
from latchstring.certs.ssh_profile import GRANT_EXTENSION, VALID_FOREVER
from latchstring.certs.ssh_public_key import certificate_blob, certificate_line, format_public_key, parse_public_key
from latchstring.certs.ssh_verify import (
    MAX_BLOB_BYTES,
    SessionCertificate,
    parse_user_certificate,
    verify_host_certificate,
    verify_user_certificate,
)

SESSION = "ses-k3v7q2m4n5p6r7s2"
ENDPOINT = "ept-abcdefghijklmnop"
DIGEST = "0123456789abcdef" * 4
CA_KEY = Ed25519PrivateKey.generate()
CA_LINE = format_public_key(CA_KEY.public_key())
ENGINEER_LINE = format_public_key(Ed25519PrivateKey.generate().public_key())
GENUINE = certificate_blob(
    SshUserAuthority(FileSigner(CA_KEY)).issue_user(
        session_id=SESSION, endpoint_id=ENDPOINT, public_key=ENGINEER_LINE, grant_digest=DIGEST
    )
)


@dataclasses.dataclass(frozen=True)
class Forgery:
    """The fields of a session certificate, any of which a test may set otherwise, and who signs it."""

    kind: SSHCertificateType = SSHCertificateType.USER
    key_id: bytes = SESSION.encode()
    principals: tuple[bytes, ...] = (ENDPOINT.encode(),)
    valid_after: int = 0
    valid_before: int = VALID_FOREVER
    options: tuple[tuple[bytes, bytes], ...] = ()
    extensions: tuple[tuple[bytes, bytes], ...] = ((GRANT_EXTENSION, DIGEST.encode()), (b"permit-pty", b""))
    public_key: str | ec.EllipticCurvePublicKey = ENGINEER_LINE
    signing_key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey = CA_KEY

    def blob(self) -> bytes:
        """Return the certificate, signed."""
        key = parse_public_key(self.public_key) if isinstance(self.public_key, str) else self.public_key
        builder = SSHCertificateBuilder().type(self.kind).key_id(self.key_id).public_key(key).serial(7)
        builder = builder.valid_after(self.valid_after).valid_before(self.valid_before)
        if self.principals:
            builder = builder.valid_principals(list(self.principals))
        else:
            builder = builder.valid_for_all_principals()  # type: ignore[no-untyped-call]  # the library forgot its type
        for name, value in self.options:
            builder = builder.add_critical_option(name, value)
        for name, value in self.extensions:
            builder = builder.add_extension(name, value)
        line = builder.sign(self.signing_key).public_bytes()
        return base64.b64decode(line.split(b" ")[1])


def test_an_issued_certificate_verifies() -> None:
    """What the user authority issues comes back field by field."""
    session = verify_user_certificate(GENUINE, CA_LINE)
    assert (session.session_id, session.endpoint_id) == (SESSION, ENDPOINT)
    assert (session.public_key, session.grant_digest) == (ENGINEER_LINE, DIGEST)


def test_an_untouched_forgery_verifies() -> None:
    """The table below starts from a certificate that is accepted, so each refusal is due to its change alone."""
    assert verify_user_certificate(Forgery().blob(), CA_LINE).serial == 7


WRONG: list[tuple[str, Forgery, str]] = [
    ("another authority", Forgery(signing_key=Ed25519PrivateKey.generate()), "untrusted_issuer"),
    ("P-256 authority", Forgery(signing_key=ec.generate_private_key(ec.SECP256R1())), "untrusted_issuer"),
    ("P-256 engineer key", Forgery(public_key=ec.generate_private_key(ec.SECP256R1()).public_key()), "malformed"),
    ("host certificate", Forgery(kind=SSHCertificateType.HOST), "wrong_role"),
    ("starts later", Forgery(valid_after=1), "wrong_validity"),
    ("ends", Forgery(valid_before=VALID_FOREVER - 1), "wrong_validity"),
    ("no key id", Forgery(key_id=b""), "wrong_subject"),
    ("key id of another kind", Forgery(key_id=ENDPOINT.encode()), "wrong_subject"),
    ("key id with a newline", Forgery(key_id=SESSION.encode() + b"\n"), "wrong_subject"),
    ("key id not ASCII", Forgery(key_id=b"ses-\xff\xfe"), "wrong_subject"),
    ("any principal", Forgery(principals=()), "wrong_subject"),
    ("two principals", Forgery(principals=(ENDPOINT.encode(), b"root")), "wrong_subject"),
    ("same principal twice", Forgery(principals=(ENDPOINT.encode(),) * 2), "wrong_subject"),
    ("principal of another kind", Forgery(principals=(SESSION.encode(),)), "wrong_subject"),
    ("user name as principal", Forgery(principals=(b"root",)), "wrong_subject"),
    ("force-command", Forgery(options=((b"force-command", b"id"),)), "unknown_critical_option"),
    ("source-address", Forgery(options=((b"source-address", b"192.0.2.1"),)), "unknown_critical_option"),
    ("digest as option too", Forgery(options=((GRANT_EXTENSION, DIGEST.encode()),)), "unknown_critical_option"),
    ("no digest", Forgery(extensions=((b"permit-pty", b""),)), "grant_digest"),
    ("empty digest", Forgery(extensions=((GRANT_EXTENSION, b""),)), "grant_digest"),
    ("short digest", Forgery(extensions=((GRANT_EXTENSION, DIGEST[:-1].encode()),)), "grant_digest"),
    ("long digest", Forgery(extensions=((GRANT_EXTENSION, DIGEST.encode() + b"0"),)), "grant_digest"),
    ("digest and newline", Forgery(extensions=((GRANT_EXTENSION, DIGEST.encode() + b"\n"),)), "grant_digest"),
    ("upper-case digest", Forgery(extensions=((GRANT_EXTENSION, DIGEST.upper().encode()),)), "grant_digest"),
]


@pytest.mark.parametrize(("forgery", "code"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_each_wrong_field_has_its_code(forgery: Forgery, code: str) -> None:
    """A certificate with one field that is not ours is refused with that field's code, even if the CA signed it."""
    with pytest.raises(CertificateError) as refused:
        verify_user_certificate(forgery.blob(), CA_LINE)
    assert refused.value.code == code


TAMPERED: list[tuple[str, bytes, bytes]] = [
    ("session", SESSION.encode(), b"ses-aaaaaaaaaaaaaaaa"),
    ("endpoint", ENDPOINT.encode(), b"ept-aaaaaaaaaaaaaaaa"),
    ("grant", DIGEST.encode(), b"f" * 64),
    ("extension", b"permit-pty", b"permit-ptx"),
    (
        "engineer",
        parse_public_key(ENGINEER_LINE).public_bytes_raw(),
        Ed25519PrivateKey.generate().public_key().public_bytes_raw(),
    ),
    ("validity", b"\xff" * 8, b"\xff" * 7 + b"\xfe"),
]


@pytest.mark.parametrize(("old", "new"), [row[1:] for row in TAMPERED], ids=[row[0] for row in TAMPERED])
def test_a_tampered_field_breaks_the_signature(old: bytes, new: bytes) -> None:
    """A field that was changed after signing is found by the signature, before its value is looked at."""
    assert GENUINE.count(old) == 1
    with pytest.raises(CertificateError) as refused:
        verify_user_certificate(GENUINE.replace(old, new), CA_LINE)
    assert refused.value.code == "bad_signature"


def test_every_flipped_bit_is_refused() -> None:
    """No byte of a certificate can be changed, whatever it belongs to, without a CertificateError."""
    for index in range(len(GENUINE)):
        changed = bytearray(GENUINE)
        changed[index] ^= 1 << (index % 8)
        with pytest.raises(CertificateError):
            verify_user_certificate(bytes(changed), CA_LINE)


def test_every_other_length_is_refused() -> None:
    """A certificate cut short or with bytes after it is malformed."""
    for blob in [*(GENUINE[:length] for length in range(len(GENUINE))), GENUINE + b"\0", b"x" * (MAX_BLOB_BYTES + 1)]:
        with pytest.raises(CertificateError) as refused:
            verify_user_certificate(blob, CA_LINE)
        assert refused.value.code == "malformed"


def _overwritten(cut: tuple[int, bytes]) -> bytes:
    offset, stretch = cut
    return GENUINE[:offset] + stretch + GENUINE[offset + len(stretch) :]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300) | st.tuples(st.integers(0, len(GENUINE)), st.binary(max_size=40)).map(_overwritten))
def test_garbage_raises_only_certificate_errors(blob: bytes) -> None:
    """Arbitrary bytes, and genuine ones with a stretch overwritten, raise CertificateError and nothing else."""
    for read in (parse_user_certificate, lambda data: verify_user_certificate(data, CA_LINE)):
        try:
            read(blob)
        except CertificateError:
            continue
        assert blob == GENUINE or read is parse_user_certificate


def test_parsing_does_not_believe() -> None:
    """A certificate of a stranger can be read for diagnosis, and says who is said to have signed it."""
    stranger = Ed25519PrivateKey.generate()
    seen = parse_user_certificate(Forgery(signing_key=stranger, principals=(b"a", b"b")).blob())
    assert seen.issuer == format_public_key(stranger.public_key())
    assert (seen.key_id, seen.principals, seen.serial) == (SESSION.encode(), (b"a", b"b"), 7)
    p256 = Forgery(signing_key=ec.generate_private_key(ec.SECP256R1()))
    assert parse_user_certificate(p256.blob()).issuer == ""


def test_a_session_certificate_has_one_maker() -> None:
    """The verified type can be made, changed, copied or unpickled in no other way than by verification."""
    session = verify_user_certificate(GENUINE, CA_LINE)
    fields = {field.name: getattr(session, field.name) for field in dataclasses.fields(session)}
    forge: list[Callable[[], object]] = [
        lambda: SessionCertificate(**fields, proof=None),
        lambda: SessionCertificate(**fields, proof=object()),
        lambda: copy.copy(session),
        lambda: copy.deepcopy(session),
        lambda: pickle.dumps(session),
    ]
    for action in forge:
        with pytest.raises(TypeError):
            action()
    with pytest.raises(ValueError, match="proof"):
        dataclasses.replace(session, session_id=ENDPOINT)  # type: ignore[call-arg]  # the misuse that must not work


def test_a_wrong_pin_is_our_own_fault() -> None:
    """A pinned authority that is no key is a ValueError, not the certificate's error."""
    with pytest.raises(ValueError, match="not an OpenSSH"):
        verify_user_certificate(GENUINE, "ssh-rsa AAAA")


@pytest.mark.parametrize(
    "change",
    [
        {"session_id": "ses-1"},
        {"session_id": ENDPOINT},
        {"endpoint_id": "root"},
        {"public_key": "ssh-rsa AAAA"},
        {"grant_digest": "0" * 63},
        {"grant_digest": "G" * 64},
    ],
)
def test_the_authority_refuses_malformed_arguments(change: dict[str, str]) -> None:
    """The authority signs nothing that verification would refuse."""
    arguments = {"session_id": SESSION, "endpoint_id": ENDPOINT, "public_key": ENGINEER_LINE, "grant_digest": DIGEST}
    with pytest.raises(ValueError):  # noqa: PT011 - each argument has its own message
        SshUserAuthority(FileSigner(CA_KEY)).issue_user(**(arguments | change))


def _decode_with_asyncssh(line: str) -> SSHOpenSSHCertificate:
    certificate = asyncssh.import_certificate(line)
    assert isinstance(certificate, SSHOpenSSHCertificate)
    return certificate


def test_asyncssh_reads_a_session_certificate() -> None:
    """The endpoint's SSH server library decodes the certificate, passes over the digest, and sees what is permitted."""
    certificate = _decode_with_asyncssh(certificate_line(GENUINE))
    assert certificate.principals == [ENDPOINT]
    assert certificate.options == {"permit-pty": True, "permit-port-forwarding": True}
    certificate.validate(CERT_TYPE_USER, ENDPOINT)


HOST_KEY = format_public_key(Ed25519PrivateKey.generate().public_key())


def test_a_host_certificate_verifies() -> None:
    """What the host authority issues for a name and key verifies for that name and key."""
    authority = SshHostAuthority(FileSigner(CA_KEY))
    line = authority.issue_host(endpoint_name="acme-pbx1", public_key=HOST_KEY)
    verify_host_certificate(line, authority.public_key, endpoint_name="acme-pbx1", public_key=HOST_KEY)
    certificate = _decode_with_asyncssh(line)
    assert certificate.principals == ["acme-pbx1.latch"]
    certificate.validate(CERT_TYPE_HOST, "acme-pbx1.latch")


def test_the_host_authority_refuses_malformed_arguments() -> None:
    """No certificate is issued for a name that is no DNS label, nor for another kind of key."""
    authority = SshHostAuthority(FileSigner(CA_KEY))
    for name in ("", "*", "acme.example", "acme_pbx", "ACME"):
        with pytest.raises(ValueError, match="endpoint name"):
            authority.issue_host(endpoint_name=name, public_key=HOST_KEY)
    with pytest.raises(ValueError, match="OpenSSH"):
        authority.issue_host(endpoint_name="acme-pbx1", public_key="ssh-rsa AAAA")


HOST = Forgery(kind=SSHCertificateType.HOST, principals=(b"acme-pbx1.latch",), public_key=HOST_KEY, extensions=())
WRONG_HOST: list[tuple[str, Forgery, str]] = [
    ("another authority", dataclasses.replace(HOST, signing_key=Ed25519PrivateKey.generate()), "untrusted_issuer"),
    ("user certificate", dataclasses.replace(HOST, kind=SSHCertificateType.USER), "wrong_role"),
    ("ends", dataclasses.replace(HOST, valid_before=1), "wrong_validity"),
    ("option", dataclasses.replace(HOST, options=((b"force-command", b"id"),)), "unknown_critical_option"),
    ("any name", dataclasses.replace(HOST, principals=()), "wrong_subject"),
    ("other name", dataclasses.replace(HOST, principals=(b"acme-pbx2.latch",)), "wrong_subject"),
    ("more names", dataclasses.replace(HOST, principals=(b"acme-pbx1.latch", b"*.latch")), "wrong_subject"),
    ("other key", dataclasses.replace(HOST, public_key=ENGINEER_LINE), "wrong_subject"),
]


@pytest.mark.parametrize(("forgery", "code"), [row[1:] for row in WRONG_HOST], ids=[row[0] for row in WRONG_HOST])
def test_each_wrong_host_certificate_has_its_code(forgery: Forgery, code: str) -> None:
    """A host certificate that is not for this endpoint's name and key is refused with the code of its fault."""
    with pytest.raises(CertificateError) as refused:
        verify_host_certificate(
            certificate_line(forgery.blob()), CA_LINE, endpoint_name="acme-pbx1", public_key=HOST_KEY
        )
    assert refused.value.code == code


def test_what_is_no_host_certificate_is_malformed() -> None:
    """Text that is no certificate line is the remote party's fault, by code."""
    with pytest.raises(CertificateError) as refused:
        verify_host_certificate("garbage", CA_LINE, endpoint_name="acme-pbx1", public_key=HOST_KEY)
    assert refused.value.code == "malformed"
