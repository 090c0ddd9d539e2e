"""How often an endpoint takes up an offer.

Each offer leaves a signed statement in the endpoint's journal, whatever the switch says, so without a limit a
controller could fill the customer's disk. An endpoint drops what is beyond it without an answer. A controller that
keeps to half of the burst, and to a little less than the rate, never gets there, not even when it forgets at a restart
what it offered.
"""

from typing import Final

SECONDS_PER_OFFER: Final = 10.0
OFFER_BURST: Final = 6000.0

CONTROLLER_SECONDS_PER_OFFER: Final = 12.0
CONTROLLER_OFFER_BURST: Final = OFFER_BURST / 2
