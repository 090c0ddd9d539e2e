"""Why a certificate, or a request for one, was not accepted.

Each class has a stable ``code`` for logs, counters and wire messages; the text is for people and holds no secret.

    CertificateError
    ├── MalformedCertificateError       malformed: it cannot be read
    ├── UntrustedIssuerError            untrusted_issuer: another authority signed it
    ├── BadSignatureError               bad_signature: its contents are not what was signed
    ├── WrongRoleError                  wrong_role: made for something else (host, server, authority, other key type)
    ├── WrongSubjectError               wrong_subject: it does not name exactly one party, or names another one
    ├── WrongValidityError              wrong_validity: it is limited in time where that is never done
    │   ├── NotYetValidError            not_yet_valid
    │   └── ExpiredError                expired
    ├── UnknownCriticalOptionError      unknown_critical_option: it carries a restriction that we do not know
    ├── GrantDigestError                grant_digest: the digest of the grant is absent or malformed
    ├── FingerprintMismatchError        fingerprint_mismatch: not the root that was pinned
    └── CertificateRequestError         bad_request: the request for a certificate was refused
"""

from typing import ClassVar


class CertificateError(Exception):
    """A certificate was not accepted."""

    code: ClassVar[str] = "certificate"


class MalformedCertificateError(CertificateError):
    """It cannot be read."""

    code = "malformed"


class UntrustedIssuerError(CertificateError):
    """Another authority than the expected one signed it."""

    code = "untrusted_issuer"


class BadSignatureError(CertificateError):
    """It names the expected authority, but its contents are not what that authority signed."""

    code = "bad_signature"


class WrongRoleError(CertificateError):
    """It was made for something else: another type of certificate, key or use."""

    code = "wrong_role"


class WrongSubjectError(CertificateError):
    """It does not name exactly one party in the expected form, or it names another one."""

    code = "wrong_subject"


class WrongValidityError(CertificateError):
    """Its validity is not what its kind always has."""

    code = "wrong_validity"


class NotYetValidError(WrongValidityError):
    """It is not valid yet at the time that was passed in."""

    code = "not_yet_valid"


class ExpiredError(WrongValidityError):
    """It is no longer valid at the time that was passed in."""

    code = "expired"


class UnknownCriticalOptionError(CertificateError):
    """It carries a restriction that we do not know, and so cannot keep."""

    code = "unknown_critical_option"


class GrantDigestError(CertificateError):
    """The digest of the customer's grant is absent or malformed."""

    code = "grant_digest"


class FingerprintMismatchError(CertificateError):
    """It is not the root that was pinned."""

    code = "fingerprint_mismatch"


class CertificateRequestError(CertificateError):
    """A request for a certificate was refused."""

    code = "bad_request"
