"""``latch login`` and ``latch logout``."""

from collections.abc import Callable

from pydantic import TypeAdapter, ValidationError

from latchstring.client.address import Address
from latchstring.client.controller_api import ControllerApi
from latchstring.client.errors import ClientError, LoginNeededError, UsageFaultError, one_line
from latchstring.client.home import Config, Home
from latchstring.client.trust import TrustedController, establish_trust, trusting_context
from latchstring.protocol.api import LoginRequest, LoginResponse
from latchstring.protocol.grants import EmailAddress

_EMAIL: TypeAdapter[str] = TypeAdapter(EmailAddress)


def parse_email(text: str) -> str:
    """Return ``text`` if it can be an account's e-mail address.

    Raises:
        UsageFaultError: it cannot.
    """
    try:
        return _EMAIL.validate_python(text)
    except ValidationError as error:
        raise UsageFaultError(f"{one_line(text, 80)!r} is not an e-mail address: --user takes an account's") from error


def log_in(
    home: Home,
    address: Address,
    user: str,
    *,
    fingerprint: str | None,
    confirm: Callable[[str], None],
    read_password: Callable[[], str],
) -> Config:
    """Log in and keep the login. Nothing is changed before the controller has accepted the password.

    Raises:
        TrustError: the controller is not the one that is expected.
        ClientError: it refused, or cannot be reached.
    """
    known = home.find_config()
    pinned = known.root_fingerprint if known is not None and known.address == address else None
    controller = establish_trust(address, given=fingerprint, pinned=pinned, confirm=confirm)
    try:
        request = LoginRequest(email=user, password=read_password())
    except ValidationError:
        # Not `from error`: pydantic's message shows what was typed.
        raise ClientError("a password has 1 to 1024 characters: pipe it in, or type it") from None
    with ControllerApi(address, controller.context(), user=user) as api:
        response = api.log_in(request)
    config = _config(address, user, controller, response)
    home.store_login(config, controller.root)
    return config


def log_out(home: Home) -> Config:
    """Give the token back and forget it. It is forgotten here even if the controller cannot be reached.

    Raises:
        LoginNeededError: there is no login.
        ClientError: the controller could not be told; the token is forgotten here.
    """
    config = home.read_config()
    if config.token is None:
        raise LoginNeededError("you are logged out already")
    home.store_config(config.model_copy(update={"token": None}))
    with connect_to_controller(home, config) as api:
        try:
            api.log_out()
        except LoginNeededError:
            return config  # it had expired, so it is gone there too
    return config


def connect_to_controller(home: Home, config: Config | None = None) -> ControllerApi:
    """Return the API of the controller that the user is logged in to.

    Raises:
        LoginNeededError: there is no login.
        HomeError: the login is unsafe or damaged.
    """
    config = home.read_config() if config is None else config
    if config.token is None:
        raise LoginNeededError(f"you are logged out: run `latch login {config.address.url} --user {config.user}`")
    context = trusting_context(home.read_root(), config.trust)
    return ControllerApi(config.address, context, token=config.token, user=config.user)


def _config(address: Address, user: str, controller: TrustedController, response: LoginResponse) -> Config:
    return Config(
        host=address.host,
        port=address.port,
        controller_name=controller.name,
        root_fingerprint=controller.root_fingerprint,
        trust=controller.trust,
        user=user,
        account_id=response.account_id,
        name=response.name,
        role=response.role,
        ssh_host_ca=response.ssh_host_ca,
        token=response.token,
        token_expires_at=response.expires_at,
    )
