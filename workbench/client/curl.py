"""A curl command as a request, for people who come from Postman or a terminal.

The command is parsed, never run. No file is read, and no variable is replaced.
"""

from __future__ import annotations

import re
import shlex
import warnings
from getopt import GetoptError, gnu_getopt
from typing import Final
from urllib.parse import urlsplit

from workbench.errors import BadInput
from workbench.exchange.message import Headers, Request, check_field, check_method, check_url
from workbench.exchange.text import CURL_FIELDS
from workbench.journal.secrets import is_secret, without_credentials, without_named_credentials

LONGEST: Final = 128 * 1024
"""In characters. Linux takes no longer argument of a command."""

_LETTERS: Final = {
    "-A": "--user-agent",
    "-b": "--cookie",
    "-d": "--data",
    "-E": "--cert",
    "-H": "--header",
    "-I": "--head",
    "-m": "--max-time",
    "-o": "--output",
    "-u": "--user",
    "-X": "--request",
}
"""Options by one letter that mean something here. The others in ``_FLAGS`` change only what curl prints or allows."""

_FLAGS: Final = "fgikLsSv"
_WITH_VALUE: Final = (
    *("cert", "connect-timeout", "cookie", "data", "data-ascii", "data-binary", "data-raw", "header", "json"),
    *("key", "max-time", "oauth2-bearer", "output", "pass", "request", "url", "user", "user-agent"),
)
_WITHOUT: Final = (
    *("compressed", "fail", "globoff", "head", "http1.1", "http2", "include", "insecure", "location"),
    *("no-progress-meter", "show-error", "silent", "verbose"),
)
_BODIES: Final = frozenset({"--data", "--data-ascii", "--data-binary", "--data-raw", "--json"})
_CREDENTIALS: Final = frozenset({"--cert", "--cookie", "--key", "--oauth2-bearer", "--pass", "--user"})

_POSTMAN_VARIABLE: Final = re.compile(r"\{\{[^{}\s\"]{1,100}\}\}")

_ANSI_C_QUOTES: Final = re.compile(r"(?:^|\s)\$'")


def from_curl(command: str) -> Request:
    r"""Return the request that a curl command would send. ``client.send`` takes it.

    The syntax is that of a POSIX shell, as Postman's code snippet *cURL* and ``exchange.as_curl()`` write it.
    Credentials are left out, and a warning names them: the client's connection adds its own.

    Raises ``BadInput`` for a text that is not one curl command, an option that is not known here, a body from a
    file, or a Postman variable without a value.

    >>> request = from_curl("curl -X PUT 'http://127.0.0.1:8080/STU3/List/1' -H 'If-Match: W/\"2\"' -d '{}'")
    >>> request.method, request.headers["If-Match"], request.body
    ('PUT', 'W/"2"', b'{}')
    """
    options, url = _parsed(command)
    body = [_literal(option, value) for option, value in options if option in _BODIES]
    lines = [value for option, value in options if option == "--header"]
    if any(option == "--json" for option, _ in options):
        lines += ["Content-Type: application/json", "Accept: application/json"]
    methods = ["HEAD" for option, _ in options if option == "--head"]
    methods += [value for option, value in options if option == "--request"]
    omitted = [f"curl's {option}" for option, _ in options if option in _CREDENTIALS]

    url, in_url = _without_credentials(url)
    headers, in_headers = _headers([_field(line) for line in lines], is_form=bool(body))
    content = "&".join(body).encode()
    if without_named_credentials(content) != content:
        raise BadInput("The body contains a credential, as a request for a token does. Give the connection a token.")

    method = methods[-1] if methods else "POST" if body else "GET"
    request = Request(method, url, headers, content)
    check_method(request.method)
    check_url(request.url)
    for name, value in headers.items():
        check_field(name, value)
    if omitted := [*omitted, *in_url, *in_headers]:
        warnings.warn(
            f"Left out, because it is a credential: {', '.join(omitted)}. The connection of your client sends its "
            "own: give it a token, a header or a certificate there, or use a profile.",
            stacklevel=2,
        )
    return request


def _parsed(command: str) -> tuple[list[tuple[str, str]], str]:
    """Return the options of the command in their order, and its URL."""
    if len(command) > LONGEST:
        raise BadInput(f"This curl command is too long: at most {LONGEST:,} characters can be read.")
    if variable := _POSTMAN_VARIABLE.search(command):
        raise BadInput(f"Replace {variable[0]} by its value first: Postman's variables are not known here.")
    if _ANSI_C_QUOTES.search(command):
        raise BadInput("Bash's quotation $'…' is not known here. Write the text between plain quotation marks.")
    try:
        words = shlex.split(command.replace("\\\r\n", "\\\n").replace("\\\n", " "))
    except ValueError as problem:
        raise BadInput("This is not a whole command of a POSIX shell: a quotation mark is not closed.") from problem
    if words[:1] != ["curl"]:
        raise BadInput("This is not a curl command: it must begin with curl.")

    letters = _FLAGS + "".join(f"{name[1]}{'' if name == '-I' else ':'}" for name in _LETTERS)
    try:
        options, urls = gnu_getopt(words[1:], letters, [*(f"{name}=" for name in _WITH_VALUE), *_WITHOUT])
    except GetoptError as problem:
        raise BadInput(f"This curl command cannot be used: {problem.msg}.") from problem
    urls += [value for name, value in options if name == "--url"]
    if len(urls) != 1:
        raise BadInput(f"This curl command has {len(urls)} URLs; it must have one, and nothing after it but options.")
    return [(_LETTERS.get(name, name), value) for name, value in options], urls[0]


def _literal(option: str, value: str) -> str:
    if value.startswith("@") and option != "--data-raw":
        raise BadInput("This curl command reads its body from a file. Put the content itself into the command.")
    return value


def _field(line: str) -> tuple[str, str | None]:
    """Return a header field; ``None`` if curl would leave it out (``Name:``). ``Name;`` is a field without a value."""
    name, colon, value = line.partition(":")
    if not colon:
        return line.removesuffix(";"), ""
    return name, value.strip() or None


def _headers(pairs: list[tuple[str, str | None]], *, is_form: bool) -> tuple[Headers, list[str]]:
    """Return the fields to send, and the names of those left out because they are credentials."""
    if is_form and "content-type" not in {name.lower() for name, _ in pairs}:
        pairs = [*pairs, ("Content-Type", "application/x-www-form-urlencoded")]  # as curl does
    removed = {name.lower() for name, value in pairs if value is None}
    fields = [
        (name, value) for name, value in pairs if value is not None and name.lower() not in {*removed, *CURL_FIELDS}
    ]
    secret = list(dict.fromkeys(name for name, _ in fields if is_secret(name)))
    return Headers([field for field in fields if field[0] not in secret]), secret


def _without_credentials(url: str) -> tuple[str, list[str]]:
    """Return the URL without user, password and secret parameters, and what was left out."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    kept: list[str] = []
    secret: list[str] = []
    for parameter in parts.query.split("&"):
        name = parameter.partition("=")[0]
        (secret if is_secret(name) else kept).append(parameter)
    shorter = parts._replace(netloc=host, query="&".join(kept), fragment="").geturl() if at or secret else url
    if without_credentials(shorter) != shorter:
        raise BadInput("The URL contains a credential. Take it out, and give it to the connection of your client.")
    names = [f"{parameter.partition('=')[0]} in the URL" for parameter in secret]
    return shorter, ["the user in the URL"] * bool(user) + names
