"""Send requests to an endpoint, record each exchange, and find out what became of it.

* ``client``: read, update, create, delete, search, send.
* ``connection``: base URL, write guard, what is added to a request, rate limit.
* ``transport``: send one prepared request; why no answer came.
* ``adapter``: connect and read an answer within limits; TLS.
* ``retry``: send an update again while no answer comes.
* ``unanswered``: find out what became of a write without an answer.
* ``identity``: the header fields and tokens of a live Spine, fresh ids.
* ``secret``: references to secrets, and a text that tracebacks do not show.
* ``profiles``: endpoints by name, and trying a connection.
* ``threads``: threads that do not delay Ctrl-C.
"""
