"""Tests of admission: totals and shares."""

import pytest

from latchstring.controller.https.admission import Admission, AdmissionLimits, site_of, source_of


def test_total_and_share() -> None:
    """No source gets more than its share, and all together no more than the total; who leaves makes room."""
    admission = Admission(AdmissionLimits(total=3, per_source=2))
    assert [admission.enter("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert [admission.enter("192.0.2.2") for _ in range(2)] == [True, False]
    assert admission.total == 3
    admission.leave("192.0.2.1")
    assert admission.enter("192.0.2.2")
    for source in ("192.0.2.1", "192.0.2.2", "192.0.2.2"):
        admission.leave(source)
    assert admission.total == 0


@pytest.mark.parametrize(
    ("source", "site"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("nonsense", "nonsense"),
    ],
)
def test_sites(source: str, site: str) -> None:
    """An IPv6 customer's /64 is one source."""
    assert site_of(source) == site


@pytest.mark.parametrize(
    ("peer", "source"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::1"),
        (("::ffff:192.0.2.1", 5, 0, 0), "192.0.2.1"),
        (None, "0.0.0.0"),  # noqa: S104 - nothing is bound
        ("", "0.0.0.0"),  # noqa: S104 - nothing is bound
    ],
)
def test_sources(peer: object, source: str) -> None:
    """A socket's peer is named by its address alone."""
    assert source_of(peer) == source
