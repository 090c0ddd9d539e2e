"""Enrolment: keys are made here, the controller certifies them, and the data directory appears whole or not at all.

Everything is written into a temporary directory beside the new one. Only when what the controller answered has been
verified is it flushed and renamed into place. A failed enrolment leaves nothing; after a crash a directory
``.<name>.<random>.tmp`` may remain, which nothing reads.
"""

import contextlib
import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from latchstring.certs.errors import CertificateError
from latchstring.certs.identity import (
    combine_credentials,
    create_certificate_request,
    create_log_key,
    create_ssh_key,
    create_tls_key,
)
from latchstring.certs.keyfiles import PRIVATE_DIRECTORY_MODE, create_private, sync_directory
from latchstring.certs.signer import Signer
from latchstring.certs.ssh_public_key import certificate_blob, format_public_key
from latchstring.certs.ssh_verify import parse_user_certificate, verify_host_certificate
from latchstring.certs.x509_parsing import load_certificate
from latchstring.certs.x509_verify import verify_endpoint_certificate
from latchstring.endpoint.access_file import AccessFile
from latchstring.endpoint.clock import Clock
from latchstring.endpoint.data_directory import MARKER, DataDirectory, is_enrolled, marker
from latchstring.endpoint.enrolment_client import EnrolmentClient
from latchstring.endpoint.errors import DataDirectoryError, EnrolmentError, UsageFaultError, one_line
from latchstring.endpoint.sandbox.account import resolve_account
from latchstring.endpoint.sandbox.errors import SandboxUnavailableError
from latchstring.protocol.access import AccessMode
from latchstring.protocol.enrolment import EnrolmentCode, EnrolmentKeys, EnrolmentResponse, sign_enrolment
from latchstring.protocol.note_keys import NoteKeyError, parse_verifier_key

_COMMON_NAME: Final = "latchstring endpoint"


class NewKeys:
    """The keys of a new endpoint, in files of a directory that is not in its place yet."""

    def __init__(self, directory: DataDirectory) -> None:
        self.tunnel: Signer = create_tls_key(directory.new_tunnel_key)
        self.ssh_host: Signer = create_ssh_key(directory.ssh_host_key)
        self.journal: Signer = create_log_key(directory.journal_key)

    @property
    def ssh_host_line(self) -> str:
        """The SSH server's public key on one line."""
        return format_public_key(self.ssh_host.public_key)

    def request(self, code: EnrolmentCode) -> EnrolmentKeys:
        """Return the public halves, for the controller."""
        journal_key = self.journal.public_key
        assert isinstance(journal_key, Ed25519PublicKey)  # noqa: S101 - create_log_key makes no other kind
        return EnrolmentKeys(
            invitation_key=code.public_key_hex(),
            signing_request=create_certificate_request(self.tunnel, _COMMON_NAME).decode(),
            ssh_host_key=self.ssh_host_line,
            journal_key=journal_key.public_bytes_raw().hex(),
        )


def parse_run_as(name: str) -> str:
    """Return the name of the account that sessions are to run as, which has to exist.

    Raises:
        UsageFaultError: there is no such account, or an agent of this account cannot become it.
    """
    try:
        return resolve_account(name).name
    except SandboxUnavailableError as error:
        raise UsageFaultError(f"--run-as: {error}; nothing was changed") from error


async def enrol(
    code: EnrolmentCode, path: Path, *, clock: Clock, proxy: str | None = None, run_as: str | None = None
) -> EnrolmentResponse:
    """Enrol this machine, and keep everything in a new directory at ``path``. Access is ``ask`` afterwards.

    Args:
        code: the vendor's.
        path: the data directory to be.
        clock: for what is only valid for a time.
        proxy: an HTTP proxy, to be kept in the settings.
        run_as: the account of sessions, to be kept in the policy.

    Raises:
        EndpointError: it failed; nothing was changed.
    """
    check_free(path)
    with _new_directory(path) as temporary:
        directory = DataDirectory(temporary)
        client = EnrolmentClient(code, proxy=proxy)
        root = await client.fetch_root()
        keys = NewKeys(directory)
        response = await client.enrol(sign_enrolment(code, keys.request(code)), root)
        verify_response(response, root=root, keys=keys, clock=clock)
        _fill(directory, response, proxy, run_as)
    return response


def check_free(path: Path) -> None:
    """Check that an endpoint can be made at ``path``.

    Raises:
        DataDirectoryError: something is there already.
    """
    if path.exists() and not path.is_dir():
        raise DataDirectoryError(f"{path} is not a directory; nothing was changed")
    if is_enrolled(path):
        raise DataDirectoryError(f"{path} is enrolled already; nothing was changed. Use another directory with --data")
    if path.is_dir() and any(path.iterdir()):
        raise DataDirectoryError(f"{path} is not empty, and not the data directory of an endpoint; nothing was changed")


def verify_response(response: EnrolmentResponse, *, root: bytes, keys: NewKeys, clock: Clock) -> None:
    """Check that what came back is what this endpoint asked for.

    1. The root is the pinned one.
    2. The client certificate is issued by it, valid now, for our tunnel key, and names the endpoint of the answer.
    3. The host certificate is a good one for our host key and the endpoint's name. Its authority is for engineers to
       check: an endpoint does not know it.
    4. The log's verifier key is one, under the name of the customer's log.

    Raises:
        EnrolmentError: a step failed.
    """
    try:
        pinned = load_certificate(root)
        if load_certificate(response.root_certificate.encode()) != pinned:  # 1
            raise EnrolmentError("the controller's answer has another root than its code")
        _verify_tunnel(response, pinned, keys, clock)  # 2
        issuer = parse_user_certificate(certificate_blob(response.ssh_host_certificate)).issuer  # 3
        verify_host_certificate(
            response.ssh_host_certificate, issuer, endpoint_name=response.endpoint_name, public_key=keys.ssh_host_line
        )
        log_key = parse_verifier_key(response.log_verifier_key)  # 4
    except (CertificateError, NoteKeyError, ValueError) as error:
        raise EnrolmentError(f"the controller's answer does not fit: {one_line(str(error))}") from error
    if log_key.name != f"{response.controller_name}/audit/{response.customer_id}":
        raise EnrolmentError("the controller's answer names another customer's log")


def _verify_tunnel(response: EnrolmentResponse, root: x509.Certificate, keys: NewKeys, clock: Clock) -> None:
    certificate = verify_endpoint_certificate(response.client_certificate.encode(), root=root, now=clock.now())
    if certificate.endpoint_id != response.endpoint_id:
        raise EnrolmentError("the controller's answer has a certificate for another endpoint")
    if certificate.public_key != keys.tunnel.public_key:
        raise EnrolmentError("the controller's answer has a certificate for another key")


@contextlib.contextmanager
def _new_directory(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    made = _missing_parents(path)
    try:
        temporary.mkdir(mode=PRIVATE_DIRECTORY_MODE, parents=True)
    except OSError as error:
        raise DataDirectoryError(f"{path} cannot be made: {error.strerror}") from error
    try:
        yield temporary
        sync_directory(temporary)
        temporary.rename(path)
    except OSError as error:
        _undo(temporary, made)
        raise DataDirectoryError(f"{path} cannot be made: {error.strerror}") from error
    except BaseException:
        _undo(temporary, made)
        raise
    # The code is used and everything is in its place: a failure here is none of the enrolment.
    with contextlib.suppress(OSError):
        sync_directory(path.parent)


def _missing_parents(path: Path) -> list[Path]:
    return [parent for parent in path.parents if not parent.exists()]


def _undo(temporary: Path, made: list[Path]) -> None:
    shutil.rmtree(temporary, ignore_errors=True)
    with contextlib.suppress(OSError):
        for parent in made:
            parent.rmdir()


def _fill(directory: DataDirectory, response: EnrolmentResponse, proxy: str | None, run_as: str | None) -> None:
    certificate = response.client_certificate.encode()
    create_private(directory.tunnel, combine_credentials(directory.new_tunnel_key, certificate))
    directory.new_tunnel_key.unlink()
    create_private(directory.enrolment, response.model_dump_json(indent=1).encode() + b"\n")
    AccessFile(directory.access, directory.access_return, boot_id="").write_open(AccessMode.ASK, initial=True)
    if proxy is not None:
        create_private(directory.settings, f"proxy = {json.dumps(proxy)}\n".encode())
    if run_as is not None:
        create_private(directory.policy, f"run_as = {json.dumps(run_as)}\n".encode())
    create_private(directory.path / MARKER, marker())
