"""Wrong clocks: sessions work, and the skew is named."""

from pathlib import Path

import pytest

from parties import Site

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), Path("libfaketime-is-missing"))


@pytest.mark.parametrize("offset", ["+26h", "-26h"])
def test_customer_and_engineer_clocks_are_wrong_by_a_day(tmp_path: Path, offset: str) -> None:
    """With a clock a day off, enrolment and sessions work, and both sides name the skew."""
    clock = ("env", f"LD_PRELOAD={LIBRARY}", f"FAKETIME={offset}", "FAKETIME_DONT_FAKE_MONOTONIC=1")
    with Site.running(tmp_path, wrapper=clock) as site:
        session_id = site.open_session("--for", "10m")
        assert site.ssh("echo in").out == "in\n"
        skew = site.latch("endpoints", "--json").json()["endpoints"][0]["clock_skew_seconds"]
        assert abs(abs(skew) - 26 * 3600) < 60
        assert (skew > 0) == offset.startswith("+")
        assert "clock" in site.customer("status").out
        site.customer("end", session_id)
        assert site.wait_for_state(session_id, "ended_by_customer")
