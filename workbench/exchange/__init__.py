"""What was sent, what came back, and what it means.

* ``message``: headers, request, response, and the exchange of both; what a message may contain.
* ``verdict``: what a request did (updated, stale, unknown, …), and the paragraph that explains it.
* ``text``: an exchange as HTTP messages and as a curl command.
* ``spine``: the request headers that a live Spine endpoint requires.
* ``hosts``: whether a host is loopback, unspecified or remote.
"""
