"""Tests of the settings and their file."""

from pathlib import Path

import pytest

from latchstring.controller.addresses import parse_address
from latchstring.controller.addressing import PortUnknownError, listen_addresses, public_addresses
from latchstring.controller.data_directory import BoundAddresses
from latchstring.controller.settings import ControllerSettings, SettingsError, dump_settings, load_settings

TEXT = (
    'name = "support.example.test"\nlisten = "0.0.0.0:8443"\ntunnel_listen = "[::1]:0"\nrelay_listen = "a.test:7022"\n'
)


def make(**changes: str) -> ControllerSettings:
    """Return settings with some changed."""
    values = {
        "name": "support.example.test",
        "listen": "0.0.0.0:8443",
        "tunnel_listen": "127.0.0.1:0",
        "relay_listen": "relay.example.test:7022",
    }
    return ControllerSettings.model_validate({**values, **changes})


def test_round_trip(tmp_path: Path) -> None:
    """What is written is read back, with and without public addresses."""
    for settings in (make(), make(public_address="support.example.test:443", public_relay_address="[2001:db8::1]:22")):
        path = tmp_path / "controller.toml"
        path.write_text(dump_settings(settings))
        assert load_settings(path) == settings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TEXT + 'colour = "red"\n', ("unknown key 'colour'",)),
        (TEXT.replace('listen = "0.0.0.0:8443"', "", 1), ("'listen' is missing",)),
        (TEXT.replace("0.0.0.0:8443", "everywhere"), ("listen", "HOST:PORT")),
        (TEXT + 'public_address = "0.0.0.0:443"\n', ("public_address", "cannot be dialled")),
        (TEXT + 'public_tunnel_address = "h:0"\n', ("public_tunnel_address", "cannot be dialled")),
        (TEXT.replace("support", "sup port"), ("name", "cannot name a controller")),
        ("name = [", ("not TOML",)),
        ("\xff", ("not UTF-8",)),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    """A mistake is told with its file, its key and its reason, on one line."""
    path = tmp_path / "controller.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    """A missing file is named."""
    with pytest.raises(SettingsError, match=r"controller\.toml cannot be read"):
        load_settings(tmp_path / "controller.toml")


def test_public_addresses() -> None:
    """Others dial what is configured, else the specific host, else the name; and the port that was got."""
    bound = BoundAddresses(*(parse_address(text) for text in ("0.0.0.0:8443", "127.0.0.1:4444", "x:7022")))
    public = public_addresses(make(public_relay_address="r.test:1"), listen_addresses(make(), bound))
    assert [str(public.people), str(public.tunnel), str(public.relay)] == [
        "support.example.test:8443",
        "127.0.0.1:4444",
        "r.test:1",
    ]


def test_port_left_to_chance() -> None:
    """A port that nobody knows yet is an error that says how to learn it."""
    with pytest.raises(PortUnknownError, match="serve"):
        listen_addresses(make(), None)


def test_server_names() -> None:
    """The server certificate covers the name, specific hosts, public hosts, and localhost on loopback."""
    settings = make(public_address="www.example.test:443", listen="[2001:db8::5]:1")
    assert settings.server_names() == (
        "support.example.test",
        "2001:db8::5",
        "127.0.0.1",
        "www.example.test",
        "localhost",
    )
