"""The relay's stream through a WebSocket, where raw TCP cannot get out.

The stream is the one of ``protocol/dial.py``, unchanged: the first bytes are the preamble, the answer's first byte is
the status, and what follows is SSH. Both of the controller's HTTPS listeners carry it at :data:`RELAY_PATH`: the
people's, where the ticket in the preamble is all that admits, as on the relay's own port; and the endpoints', where a
client certificate is required besides. The other side of a pair may come raw or the same way.

RFC 6455, without extensions and without a subprotocol:

- Binary messages carry the bytes of the stream, in order. Where one message ends and the next begins means nothing.
- A message without a byte is the end of the stream in that direction: WebSocket knows no half-close, and the relay
  keeps half-closes.
- Once both directions have ended the controller closes with status 1000.
- A text message, or one of more than :data:`MAX_STREAM_MESSAGE_BYTES`, is answered by closing.
- When the session is cut, the TCP connection is aborted; what is buffered is not delivered any more.
- The controller pings; whoever does not answer is gone.
"""

from typing import Final

RELAY_PATH: Final = "/relay"
MAX_STREAM_MESSAGE_BYTES: Final = 256 * 1024
