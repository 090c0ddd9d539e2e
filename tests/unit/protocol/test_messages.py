"""Messages of the control channel: round trip, garbage, negotiation."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchstring.protocol import messages
from latchstring.protocol.access import AccessMode
from latchstring.protocol.endings import Reason

SESSION = "ses-aaaaaaaaaaaaaaaa"
DIAL = "dia-bbbbbbbbbbbbbbbb"

FROM_ENDPOINT: list[messages.FromEndpoint] = [
    messages.Hello(
        versions=(1,),
        agent_version="0.1.0",
        time="2026-11-24T09:30:00.125Z",
        access=AccessMode.ASK,
        journal_size=3,
        live_sessions=(SESSION,),
    ),
    messages.DialFailed(session_id=SESSION, dial_id=DIAL, failure=messages.DialFailure.UNREACHABLE),
    messages.RenewCertificate(signing_request="-----BEGIN"),
]
FROM_CONTROLLER: list[messages.FromController] = [
    messages.Welcome(version=1, time="2026-11-24T09:30:00.125Z", endpoint_id="ept-cccccccccccccccc", acknowledged=7),
    messages.Goodbye(code=messages.GoodbyeCode.BUSY, retry_after_seconds=5),
    messages.Acknowledged(next_sequence=9),
    messages.Withdraw(session_id=SESSION, reason=Reason.WITHDRAWN),
    messages.EndSession(session_id=SESSION, reason=Reason.CLOSED_BY_ENGINEER),
    messages.DialRelay(session_id=SESSION, dial_id=DIAL, host="127.0.0.1", port=7022, secret="0f" * 32),
    messages.CertificateRenewed(certificate="-----BEGIN"),
]


@pytest.mark.parametrize("message", FROM_ENDPOINT, ids=lambda message: str(message.type))
def test_endpoint_messages_round_trip(message: messages.FromEndpoint) -> None:
    """What an endpoint says arrives as it was said."""
    assert messages.decode_from_endpoint(messages.encode_message(message)) == message


@pytest.mark.parametrize("message", FROM_CONTROLLER, ids=lambda message: str(message.type))
def test_controller_messages_round_trip(message: messages.FromController) -> None:
    """What a controller says arrives as it was said."""
    assert messages.decode_from_controller(messages.encode_message(message)) == message


@pytest.mark.parametrize("message", FROM_CONTROLLER, ids=lambda message: str(message.type))
def test_directions_are_not_interchangeable(message: messages.FromController) -> None:
    """A controller's message is none of an endpoint's."""
    with pytest.raises(messages.MessageError):
        messages.decode_from_endpoint(messages.encode_message(message))


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_garbage_is_refused(frame: str) -> None:
    """No text that is no message is taken for one, and the failure is always the same kind."""
    with pytest.raises(messages.MessageError):
        messages.decode_from_endpoint(frame)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_other_json_is_refused(value: object) -> None:
    """Well-formed JSON of another shape is refused as well."""
    with pytest.raises(messages.MessageError):
        messages.decode_from_controller(json.dumps(value))


def test_unknown_fields_are_refused() -> None:
    """A field that this version does not know closes the channel instead of being dropped."""
    frame = json.loads(messages.encode_message(FROM_ENDPOINT[0])) | {"extra": 1}
    with pytest.raises(messages.MessageError, match="extra"):
        messages.decode_from_endpoint(json.dumps(frame))


def test_refusals_do_not_repeat_the_input() -> None:
    """What a stranger sent does not come back in a log line."""
    with pytest.raises(messages.MessageError) as caught:
        messages.decode_from_endpoint('{"type":"hello","versions":"canary-5f3a"}')
    assert "canary" not in str(caught.value)


def test_oversize_is_refused_before_it_is_parsed() -> None:
    """A frame beyond the limit is not even looked at."""
    with pytest.raises(messages.MessageError, match="at most"):
        messages.decode_from_endpoint(" " * (messages.MAX_MESSAGE_BYTES + 1))


def test_secrets_do_not_print() -> None:
    """A ticket's secret is not in the message's text form."""
    assert "0f0f" not in repr(FROM_CONTROLLER[5])


@pytest.mark.parametrize(
    ("offered", "supported", "chosen"), [((1,), (1,), 1), ((1, 2, 3), (1, 2), 2), ((7,), (1,), None), ((), (1,), None)]
)
def test_negotiation(offered: tuple[int, ...], supported: tuple[int, ...], chosen: int | None) -> None:
    """The highest version that both know is spoken; where there is none, nothing is."""
    assert messages.negotiate_version(offered, supported) == chosen
