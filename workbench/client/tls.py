"""With which certificates an endpoint is spoken to: whom we trust, and who we say we are.

Owns: making the TLS context, and a sentence for each file that cannot be used. The system's trust store is
asked unless a CA is named; what is trusted is always checked, host name included.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from workbench.errors import BadInput

Secret = Callable[[], str]
"""Gives a secret when it is asked; a ``Reference``, or a function of the user's."""


def client_context(verify: bool | str, cert: str | tuple[str, str] | None, passphrase: Secret | None) -> ssl.SSLContext:
    """The context for one connection; raises ``BadInput`` for a certificate, a key or a passphrase amiss."""
    context = _trusting(verify)
    if cert is not None:
        chain, key = cert if isinstance(cert, tuple) else (cert, cert)
        _present(context, chain, key, passphrase)
    return context


def _trusting(verify: bool | str) -> ssl.SSLContext:
    if not isinstance(verify, str):
        import truststore  # only whoever speaks https waits for it

        return cast(ssl.SSLContext, truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    folder = Path(verify).is_dir()
    try:
        return ssl.create_default_context(cafile=None if folder else verify, capath=verify if folder else None)
    except (ssl.SSLError, OSError):
        raise BadInput(f"The CA file {verify} cannot be read; it must hold certificates as PEM.") from None


class _NoPassphrase(Exception):
    """OpenSSL asked for a passphrase, and there is none to give."""


def _present(context: ssl.SSLContext, chain: str, key: str, passphrase: Secret | None) -> None:
    def password() -> str:
        # Without this OpenSSL would ask at a terminal that a notebook does not have.
        if passphrase is None:
            raise _NoPassphrase
        return passphrase()

    try:
        context.load_cert_chain(chain, key, password)
    except _NoPassphrase:
        raise BadInput(f"The key {key} is encrypted; give its passphrase by reference.") from None
    except BadInput:
        raise  # the reference's own words on why there is no passphrase
    except ssl.SSLError as error:
        words = next((words for sign, words in _LOCAL if sign in str(error)), _UNREADABLE)
        encrypted = passphrase is not None and words is _UNREADABLE and "ENCRYPTED" in _text(key)
        chosen = _LOCKED if encrypted else words
        raise BadInput(chosen.format(chain=chain, key=key)) from None
    except OSError:
        raise BadInput(_UNREADABLE.format(chain=chain, key=key)) from None
    except ValueError:
        raise BadInput(_LOCKED.format(key=key)) from None


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


_LOCKED: Final = "The passphrase does not open the key {key}; check where it comes from."
_UNREADABLE: Final = "The client certificate {chain} or its key {key} cannot be read; both must be PEM."
_LOCAL: Final = (
    ("KEY_VALUES_MISMATCH", "The key {key} does not belong to the client certificate {chain}; give the two of a pair."),
    ("KEY_TYPE_MISMATCH", "The key {key} does not belong to the client certificate {chain}; give the two of a pair."),
    ("BAD_DECRYPT", _LOCKED),
    ("EE_KEY_TOO_SMALL", "The key of the client certificate {chain} is too short for today's TLS; have it made anew."),
)
