"""X.509 certificates: what the authority issues verifies, and nothing else does."""

import base64
import contextlib
import dataclasses
from datetime import UTC, datetime, timedelta, timezone
from ipaddress import IPv6Address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store
from hypothesis import given, settings
from hypothesis import strategies as st

from latchstring.certs.errors import CertificateError, CertificateRequestError, ExpiredError
from latchstring.certs.identity import create_certificate_request
from latchstring.certs.signer import FileSigner
from latchstring.certs.x509_authority import X509Authority, create_root, public_key_of_request
from latchstring.certs.x509_parsing import load_certificate
from latchstring.certs.x509_profile import BACKDATING, endpoint_uri, renewal_due, renewal_due_at
from latchstring.certs.x509_verify import (
    endpoint_id_of,
    fingerprint,
    verify_endpoint_certificate,
    verify_root,
)

NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
ENDPOINT = "ept-abcdefghijklmnop"
ROOT_KEY = ec.generate_private_key(ec.SECP256R1())
AUTHORITY = X509Authority(create_root("support.example.test", FileSigner(ROOT_KEY), NOW), FileSigner(ROOT_KEY))
LEAF_KEY = ec.generate_private_key(ec.SECP256R1())
REQUEST = create_certificate_request(FileSigner(LEAF_KEY), "acme-pbx1")
GENUINE = AUTHORITY.issue_client(REQUEST, ENDPOINT, NOW)


def common_name(text: str) -> x509.Name:
    """Return a name that consists of a common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def test_the_root_is_what_the_profile_says() -> None:
    """The root is a self-signed authority for leaves only, named after the controller, for 20 years."""
    root = AUTHORITY.root
    assert root.subject == root.issuer == common_name("support.example.test root")
    constraints = root.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    assert root.not_valid_before_utc == NOW.replace(microsecond=0) - BACKDATING
    assert root.not_valid_after_utc == NOW.replace(microsecond=0) + timedelta(days=20 * 365)


def test_a_long_controller_name_is_cut() -> None:
    """A controller's name may be longer than a common name: it is cut, and still ends in 'root'."""
    root = create_root("x" * 200, FileSigner(ROOT_KEY), NOW)
    assert root.subject == common_name("x" * 59 + " root")
    with pytest.raises(ValueError, match="name"):
        create_root("", FileSigner(ROOT_KEY), NOW)


def test_root_and_signer_must_fit() -> None:
    """An authority cannot be put together from a root and another root's key."""
    with pytest.raises(ValueError, match="different keys"):
        X509Authority(AUTHORITY.root, FileSigner(LEAF_KEY))


def test_a_client_certificate_verifies() -> None:
    """What the authority issues for an endpoint verifies and comes back field by field."""
    seen = verify_endpoint_certificate(GENUINE.public_bytes(Encoding.DER), root=AUTHORITY.root, now=NOW)
    assert seen.endpoint_id == ENDPOINT == endpoint_id_of(GENUINE)
    assert seen.public_key == LEAF_KEY.public_key()
    assert (seen.serial_number, seen.fingerprint) == (GENUINE.serial_number, fingerprint(GENUINE))
    assert seen.not_after - seen.not_before == timedelta(days=97)


def test_nothing_of_the_request_but_its_key_is_used() -> None:
    """Names, authority and alternative names that a request asks for are not in the certificate."""
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(common_name("ept-aaaaaaaaaaaaaaaa"))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("support.example.test")]), critical=False)
        .sign(LEAF_KEY, hashes.SHA256())
    )
    issued = AUTHORITY.issue_client(request.public_bytes(Encoding.PEM), ENDPOINT, NOW)
    assert endpoint_id_of(issued) == ENDPOINT
    assert not issued.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_another_verifier_agrees() -> None:
    """Cryptography's own path validation accepts our client and server certificates, each for its use only."""
    builder = PolicyBuilder().store(Store([AUTHORITY.root])).time(NOW)
    assert builder.build_client_verifier().verify(GENUINE, []).chain == [GENUINE, AUTHORITY.root]
    server = AUTHORITY.issue_server(["support.example.test"], LEAF_KEY.public_key(), NOW)
    assert builder.build_server_verifier(x509.DNSName("support.example.test")).verify(server, [])
    with pytest.raises(x509.verification.VerificationError):
        builder.build_client_verifier().verify(server, [])


def test_server_names_become_names_and_addresses() -> None:
    """Names and addresses of a server are told apart, lower-cased, and listed once."""
    names = ["Support.Example.Test", "127.0.0.1", "::1", "127.0.0.1"]
    server = AUTHORITY.issue_server(names, LEAF_KEY.public_key(), NOW)
    listed = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert listed.get_values_for_type(x509.DNSName) == ["support.example.test"]
    assert IPv6Address("::1") in listed.get_values_for_type(x509.IPAddress)
    assert len(listed) == 3


@pytest.mark.parametrize(
    "names", [[], [""], ["*.example.test"], ["a..b"], ["-a"], ["a b"], ["a" * 64], ["a." * 127 + "b"]]
)
def test_malformed_server_names_are_refused(names: list[str]) -> None:
    """A server certificate is for plain names: no wildcards, nothing malformed, at least one."""
    with pytest.raises(ValueError, match="name"):
        AUTHORITY.issue_server(names, LEAF_KEY.public_key(), NOW)


def test_serial_numbers_differ() -> None:
    """Two certificates for the same key have different serial numbers, which revocation relies on."""
    assert AUTHORITY.issue_client(REQUEST, ENDPOINT, NOW).serial_number != GENUINE.serial_number


@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_off_by_a_day_is_tolerated(days: int) -> None:
    """A certificate that was just issued is valid on a machine whose clock is a day wrong in either direction."""
    verify_endpoint_certificate(GENUINE, root=AUTHORITY.root, now=NOW + timedelta(days=days))


@pytest.mark.parametrize(
    ("offset", "code"), [(timedelta(days=-7, seconds=-1), "not_yet_valid"), (timedelta(days=90, seconds=1), "expired")]
)
def test_validity_ends(offset: timedelta, code: str) -> None:
    """Outside its validity a certificate is refused, with a code that tells too early from too late."""
    with pytest.raises(CertificateError) as refused:
        verify_endpoint_certificate(GENUINE, root=AUTHORITY.root, now=NOW + offset)
    assert refused.value.code == code


def test_renewal_is_due_after_two_thirds() -> None:
    """Of 90 days after the issue, 60 pass before a renewal is due, and 30 remain for it."""
    assert renewal_due_at(GENUINE) == NOW.replace(microsecond=0) + timedelta(days=60)
    assert not renewal_due(GENUINE, NOW + timedelta(days=59, hours=23))
    assert renewal_due(GENUINE, NOW + timedelta(days=60))


def test_a_zone_other_than_utc_is_the_same_time() -> None:
    """A time of issue in another zone gives the same validity; one without a zone is our mistake and raises."""
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))
    assert AUTHORITY.issue_client(REQUEST, ENDPOINT, elsewhere).not_valid_after_utc == GENUINE.not_valid_after_utc
    with pytest.raises(ValueError, match="zone"):
        create_root("name", FileSigner(ROOT_KEY), NOW.replace(tzinfo=None))


def test_leaves_do_not_outlive_the_root() -> None:
    """Near the root's end a leaf ends with it, and after it nothing is issued."""
    end = AUTHORITY.root.not_valid_after_utc
    assert AUTHORITY.issue_client(REQUEST, ENDPOINT, end - timedelta(days=1)).not_valid_after_utc == end
    with pytest.raises(ExpiredError, match="root"):
        AUTHORITY.issue_client(REQUEST, ENDPOINT, end)


def _request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(common_name("x"))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _request_with_exchanged_key() -> bytes:
    """Return a request that holds another key than the one that signed it."""
    ours, theirs = (_point(key) for key in (LEAF_KEY, ec.generate_private_key(ec.SECP256R1())))
    changed = x509.load_pem_x509_csr(REQUEST).public_bytes(Encoding.DER).replace(ours, theirs)
    return x509.load_der_x509_csr(changed).public_bytes(Encoding.PEM)


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@pytest.mark.parametrize(
    "request_pem",
    [
        b"",
        b"garbage",
        REQUEST[: len(REQUEST) // 2],
        b"x" * 20_000,
        GENUINE.public_bytes(Encoding.PEM),
        _request(rsa.generate_private_key(65537, 2048)),
        _request(ec.generate_private_key(ec.SECP384R1())),
        _request_with_exchanged_key(),
    ],
    ids=["empty", "garbage", "cut", "oversize", "a certificate", "RSA", "P-384", "exchanged key"],
)
def test_bad_requests_are_refused(request_pem: bytes) -> None:
    """What is no request for a P-256 key raises CertificateRequestError, whatever is wrong with it."""
    with pytest.raises(CertificateRequestError):
        AUTHORITY.issue_client(request_pem, ENDPOINT, NOW)


def test_the_authority_names_only_endpoints() -> None:
    """A client certificate is never issued for a name that is no endpoint id, nor a server's for an Ed25519 key."""
    for name in ("", "root", "ses-k3v7q2m4n5p6r7s2", ENDPOINT + "\n", ENDPOINT.upper()):
        with pytest.raises(ValueError):  # noqa: PT011 - pydantic words it
            AUTHORITY.issue_client(REQUEST, name, NOW)
    with pytest.raises(ValueError, match="P-256"):
        AUTHORITY.issue_server(["a.test"], Ed25519PrivateKey.generate().public_key(), NOW)


SAN = x509.SubjectAlternativeName
CLIENT = [ExtendedKeyUsageOID.CLIENT_AUTH]


def forge(
    *,
    subject: str = ENDPOINT,
    names: list[x509.GeneralName] | None = None,
    usages: list[x509.ObjectIdentifier] | None = None,
    authority: bool = False,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = LEAF_KEY,
    issuer: x509.Name = AUTHORITY.root.subject,
    signing_key: ec.EllipticCurvePrivateKey = ROOT_KEY,
) -> x509.Certificate:
    """Return a client certificate like ours with some of its fields set otherwise."""
    names = [x509.UniformResourceIdentifier(endpoint_uri(ENDPOINT))] if names is None else names
    builder = x509.CertificateBuilder(issuer, common_name(subject), key.public_key(), 7)
    builder = builder.not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    if names:
        builder = builder.add_extension(SAN(names), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage(CLIENT if usages is None else usages), critical=False)
    return builder.sign(signing_key, hashes.SHA256())


OURS = x509.UniformResourceIdentifier(endpoint_uri(ENDPOINT))
OTHER = x509.UniformResourceIdentifier(endpoint_uri("ept-aaaaaaaaaaaaaaaa"))
STRANGER = ec.generate_private_key(ec.SECP256R1())
WRONG: list[tuple[str, x509.Certificate, str]] = [
    ("same root name, other key", forge(signing_key=STRANGER), "bad_signature"),
    ("other root", forge(issuer=common_name("other root"), signing_key=STRANGER), "untrusted_issuer"),
    ("other issuer, our key", forge(issuer=common_name("other root")), "untrusted_issuer"),
    ("root itself", AUTHORITY.root, "wrong_role"),
    ("server", AUTHORITY.issue_server(["a.test"], LEAF_KEY.public_key(), NOW), "wrong_role"),
    ("both uses", forge(usages=[*CLIENT, ExtendedKeyUsageOID.SERVER_AUTH]), "wrong_role"),
    ("any use", forge(usages=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), "wrong_role"),
    ("authority", forge(authority=True), "wrong_role"),
    ("RSA key", forge(key=rsa.generate_private_key(65537, 2048)), "wrong_role"),
    ("no names", forge(names=[]), "wrong_subject"),
    ("DNS name", forge(names=[x509.DNSName("a.test")]), "wrong_subject"),
    ("URI and DNS name", forge(names=[OURS, x509.DNSName("a.test")]), "wrong_subject"),
    ("two endpoints", forge(names=[OURS, OTHER]), "wrong_subject"),
    ("names disagree", forge(names=[OTHER]), "wrong_subject"),
    ("other scheme", forge(names=[x509.UniformResourceIdentifier(f"spiffe:{ENDPOINT}")]), "wrong_subject"),
    (
        "malformed id",
        forge(subject="root", names=[x509.UniformResourceIdentifier(endpoint_uri("root"))]),
        "wrong_subject",
    ),
]


@pytest.mark.parametrize(("certificate", "code"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_each_wrong_field_has_its_code(certificate: x509.Certificate, code: str) -> None:
    """A client certificate with one field that is not ours is refused with the code of that field."""
    with pytest.raises(CertificateError) as refused:
        verify_endpoint_certificate(certificate, root=AUTHORITY.root, now=NOW)
    assert refused.value.code == code


def test_an_untouched_forgery_verifies() -> None:
    """The table above starts from a certificate that is accepted, so each refusal is due to its change alone."""
    assert verify_endpoint_certificate(forge(), root=AUTHORITY.root, now=NOW).endpoint_id == ENDPOINT


def test_a_leaf_is_no_root() -> None:
    """A client certificate cannot stand as the root of another."""
    below = forge(issuer=GENUINE.subject, signing_key=LEAF_KEY)
    with pytest.raises(CertificateError) as refused:
        verify_endpoint_certificate(below, root=GENUINE, now=NOW)
    assert refused.value.code == "wrong_role"


def test_no_flipped_bit_changes_what_is_believed() -> None:
    """Whatever byte of a certificate is changed, it is refused, or (padding bits of the signature) says the same."""
    expected = verify_endpoint_certificate(GENUINE, root=AUTHORITY.root, now=NOW)
    genuine = GENUINE.public_bytes(Encoding.DER)
    for index in range(len(genuine)):
        changed = bytearray(genuine)
        changed[index] ^= 1 << (index % 8)
        with contextlib.suppress(CertificateError):
            seen = verify_endpoint_certificate(bytes(changed), root=AUTHORITY.root, now=NOW)
            assert dataclasses.replace(seen, fingerprint=expected.fingerprint) == expected
        with contextlib.suppress(CertificateError):
            endpoint_id_of(bytes(changed))


def _armour(der: bytes) -> bytes:
    label = b"CERTIFICATE REQUEST-----\n"
    return b"-----BEGIN " + label + base64.encodebytes(der) + b"-----END " + label


def test_no_flipped_bit_changes_a_request() -> None:
    """Whatever byte of a request is changed, it is refused, or (padding bits of the signature) holds the same key."""
    genuine = x509.load_pem_x509_csr(REQUEST).public_bytes(Encoding.DER)
    for index in range(len(genuine)):
        changed = bytearray(genuine)
        changed[index] ^= 1 << (index % 8)
        with contextlib.suppress(CertificateRequestError):
            assert public_key_of_request(_armour(bytes(changed))) == LEAF_KEY.public_key()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda data: b"-----BEGIN CERTIFICATE-----\n" + data))
def test_garbage_raises_only_certificate_errors(data: bytes) -> None:
    """Arbitrary bytes raise CertificateError and nothing else."""
    for read in (load_certificate, endpoint_id_of):
        with pytest.raises(CertificateError) as refused:
            read(data)
        assert refused.value.code == "malformed"


def test_an_oversize_certificate_is_malformed() -> None:
    """More than 16 KiB is not parsed at all."""
    with pytest.raises(CertificateError, match="longer"):
        load_certificate(GENUINE.public_bytes(Encoding.DER) + b"x" * 16_384)


def test_a_pinned_root_is_accepted() -> None:
    """The root with the pinned fingerprint is accepted in PEM and DER, with white space around the pin."""
    pin = fingerprint(AUTHORITY.root)
    assert pin.startswith("SHA256:")
    assert len(pin) == 50
    assert verify_root(AUTHORITY.root_pem(), f" {pin}\n") == AUTHORITY.root
    assert verify_root(AUTHORITY.root.public_bytes(Encoding.DER), pin) == AUTHORITY.root


@pytest.mark.parametrize("pin", ["", "SHA256:", "SHA256:" + "A" * 43, "\N{SNOWMAN}"])
def test_a_root_with_another_fingerprint_is_refused(pin: str) -> None:
    """No pin but the exact one is accepted; the error shows the fingerprint that was seen."""
    with pytest.raises(CertificateError, match="SHA256") as refused:
        verify_root(AUTHORITY.root_pem(), pin)
    assert refused.value.code == "fingerprint_mismatch"
    with pytest.raises(CertificateError):
        verify_root(AUTHORITY.root_pem(), fingerprint(AUTHORITY.root).lower())


@pytest.mark.parametrize(
    ("certificate", "code"),
    [
        (GENUINE, "wrong_role"),
        (forge(authority=True), "untrusted_issuer"),
        (forge(authority=True, issuer=common_name(ENDPOINT), signing_key=STRANGER), "bad_signature"),
        (forge(authority=True, key=rsa.generate_private_key(65537, 2048)), "wrong_role"),
    ],
    ids=["leaf", "not self-signed", "signed by another", "RSA"],
)
def test_what_is_no_root_is_refused_even_if_pinned(certificate: x509.Certificate, code: str) -> None:
    """A certificate that matches the pin but is not a self-signed P-256 authority is refused."""
    with pytest.raises(CertificateError) as refused:
        verify_root(certificate.public_bytes(Encoding.DER), fingerprint(certificate))
    assert refused.value.code == code


def test_a_request_gives_its_key() -> None:
    """The key of a genuine request is the one that signed it."""
    assert public_key_of_request(REQUEST) == LEAF_KEY.public_key()
