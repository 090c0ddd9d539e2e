"""What is checked of each entry of a log, in the order of the log."""

from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from latchstring.certs.ssh_public_key import key_fingerprint
from latchstring.client.audit.faults import Discrepancies, Discrepancy, DiscrepancyError, LogFaultError
from latchstring.client.audit.lifecycle import SessionLifecycles
from latchstring.protocol.entries import Entry, EntryError, decode_statement, parse_entry, verify_attestation
from latchstring.protocol.events import EndpointEnrolled
from latchstring.protocol.statements import Statement


class EntryChecker:
    """Checks the entries of one log, from the first on. ``discrepancies`` are those of the entries checked so far."""

    def __init__(self, journal_keys: Mapping[str, Ed25519PublicKey]) -> None:
        self._journal_keys = dict(journal_keys)
        self._enrolled: set[str] = set()
        self._next_sequence: dict[str, int] = {}
        self._lifecycles = SessionLifecycles()
        self.discrepancies = Discrepancies()

    def check(self, index: int, body: bytes) -> None:
        """Check one entry.

        1. It is canonical, and of a form that this version knows.
        2. The first entry of a log, and only it, opens the log.
        3. An endpoint's event is signed by that endpoint's journal key, with which it has enrolled before.
        4. Its statement is the next one of that endpoint: none is missing, none comes twice.
        5. It fits the life of its session, and comes from the session's endpoint.

        Steps 4 and 5 find discrepancies, which are noted.

        Raises:
            LogFaultError: one of the steps 1 to 3 failed; with ``index``.
        """
        try:
            entry = parse_entry(body)  # 1.
            _check_opening(index, entry)  # 2.
            verify_attestation(entry, self._journal_keys)  # 3.
            self._check_enrolment(entry)
        except EntryError as error:
            raise LogFaultError(str(error), index=index) from error
        except LogFaultError as error:
            raise LogFaultError(error.message, index=index) from error
        endpoint_id = None if entry.attestation is None else entry.attestation.endpoint_id
        steps: tuple[Callable[[], None], ...] = (
            lambda: self._check_sequence(entry),  # 4.
            lambda: self._lifecycles.observe(entry.event, endpoint_id=endpoint_id),  # 5.
        )
        for step in steps:
            try:
                step()
            except DiscrepancyError as error:
                self.discrepancies.add(Discrepancy(index, endpoint_id, str(error)))

    def _check_enrolment(self, entry: Entry) -> None:
        if isinstance(entry.event, EndpointEnrolled):
            endpoint_id = entry.event.endpoint_id
            key = self._journal_keys.get(endpoint_id)
            if key is None or key_fingerprint(key) != entry.event.journal_key:
                raise LogFaultError(f"{endpoint_id} enrolled with another journal key than the one that is listed")
            self._enrolled.add(endpoint_id)
        elif entry.attestation is not None and entry.attestation.endpoint_id not in self._enrolled:
            raise LogFaultError(f"{entry.attestation.endpoint_id} reports, and has not enrolled")

    def _check_sequence(self, entry: Entry) -> None:
        if entry.attestation is None:
            return
        endpoint_id = entry.attestation.endpoint_id
        # The signature over these very bytes has just been verified.
        statement = Statement.model_validate_json(decode_statement(entry.attestation.signed))
        expected = self._next_sequence.get(endpoint_id, 0)
        # After a gap the count goes on from what came; a repetition does not turn it back.
        self._next_sequence[endpoint_id] = max(expected, statement.sequence + 1)
        if statement.sequence != expected:
            raise DiscrepancyError(
                f"statement {statement.sequence} of {endpoint_id} stands where its statement {expected} should"
            )


def _check_opening(index: int, entry: Entry) -> None:
    if (entry.event.type == "log.opened") != (index == 0):
        raise LogFaultError("a log begins with log.opened, and has it only there")
