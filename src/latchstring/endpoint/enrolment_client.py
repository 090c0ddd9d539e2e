"""The two requests of an enrolment.

1. ``GET /api/v1/root`` over TLS that trusts anyone: nothing secret is sent, and what comes back is believed only if its
   SHA-256 is the one in the code.
2. ``POST /api/v1/enrol`` over TLS that trusts that root, or, for a listener with a public certificate, the system's
   authorities. The request is signed with the code's key, which is never sent.
"""

import asyncio
import hashlib
import hmac
import ssl
from typing import Final

from pydantic import ValidationError

from latchstring.certs.errors import CertificateError
from latchstring.certs.fingerprints import format_fingerprint
from latchstring.certs.tls_contexts import client_context, unverified_bootstrap_context
from latchstring.certs.x509_verify import verify_root
from latchstring.endpoint.errors import EndpointError, EnrolmentError, RefusedError, UnreachableError, one_line
from latchstring.endpoint.https_request import AnswerTooLongError, NotHttpError, send_request
from latchstring.endpoint.outbound import connect_outbound, connection_fault
from latchstring.endpoint.proxies import find_proxy
from latchstring.protocol.api import API_PREFIX, MAX_BODY_BYTES, RootResponse
from latchstring.protocol.enrolment import EnrolmentCode, EnrolmentRequest, EnrolmentResponse
from latchstring.protocol.problems import ProblemCode, ProblemDetails

_TOTAL_SECONDS: Final = 30.0
_ANSWERED: Final = (200, 201)


class EnrolmentClient:
    """Talks to the controller that a code names.

    Args:
        code: the enrolment code.
        proxy: the address of an HTTP proxy; None looks at the environment.
    """

    def __init__(self, code: EnrolmentCode, *, proxy: str | None) -> None:
        self._code = code
        self._proxy = proxy

    async def fetch_root(self) -> bytes:
        """Return the root certificate (PEM) that the code names.

        Raises:
            UnreachableError: the controller cannot be reached.
            EnrolmentError: what answers is not the controller that made the code.
        """
        body = await self._request("GET", "/root", unverified_bootstrap_context(), None)
        try:
            root = RootResponse.model_validate_json(body).root_certificate.encode()
        except ValidationError as error:
            raise EnrolmentError(f"what answers at {self._code.address} is not a controller") from error
        expected = format_fingerprint(self._code.root_sha256)
        try:
            certificate = verify_root(root, expected)
        except CertificateError as error:
            raise EnrolmentError(
                f"the controller at {self._code.address} is not the one that made this code: {one_line(str(error))}; "
                f"ask the vendor for a new code"
            ) from error
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(root.decode("ascii"))).digest()
        if not hmac.compare_digest(digest, self._code.root_sha256):
            raise EnrolmentError(f"the root of {certificate.subject.rfc4514_string()} is written in two ways")
        return root

    async def enrol(self, request: EnrolmentRequest, root: bytes) -> EnrolmentResponse:
        """Send the keys, and return what the controller made of them. Nothing of it is verified yet.

        Raises:
            UnreachableError: the controller cannot be reached.
            EndpointError: it refused the code, or answered nonsense.
        """
        context = client_context(root, system_trust=True)
        body = await self._request("POST", "/enrol", context, request.model_dump_json().encode())
        try:
            return EnrolmentResponse.model_validate_json(body)
        except ValidationError as error:
            raise EnrolmentError("the controller's answer is none that this version knows; update it") from error

    async def _request(self, method: str, path: str, context: ssl.SSLContext, body: bytes | None) -> bytes:
        address, host, port = self._code.address, self._code.host, self._code.port
        try:
            async with asyncio.timeout(_TOTAL_SECONDS):
                connection = await connect_outbound(host, port, lambda host: find_proxy(self._proxy, host))
                status, content = await send_request(
                    connection,
                    context,
                    host,
                    method=method,
                    target=f"{API_PREFIX}{path}",
                    body=body,
                    limit=MAX_BODY_BYTES,
                )
        except ssl.SSLCertVerificationError as error:
            raise _untrusted(address, error) from error
        except AnswerTooLongError as error:
            raise EnrolmentError("the controller's answer is too long") from error
        except (NotHttpError, OSError) as error:
            reason = connection_fault(error, host, port)
            raise UnreachableError(f"the controller at {address} cannot be reached: {reason}") from error
        except ValueError as error:
            raise EnrolmentError(f"the proxy's address is wrong: {error}") from error
        if status not in _ANSWERED:
            raise _refusal(address, status, content)
        return content


def _untrusted(address: str, error: Exception) -> EnrolmentError:
    return EnrolmentError(
        f"the certificate of {address} is not trusted ({one_line(str(error))}); "
        f"is the address the one that the vendor uses, and this machine's clock right?"
    )


def _refusal(address: str, status: int, content: bytes) -> EndpointError:
    try:
        problem = ProblemDetails.model_validate_json(content)
    except ValidationError:
        return EnrolmentError(f"the controller at {address} answered with HTTP status {status}")
    detail = one_line(problem.detail)
    if problem.code is ProblemCode.TOO_MANY_ATTEMPTS:
        return RefusedError(f"the controller refuses further attempts for now: {detail}")
    return EnrolmentError(detail)
