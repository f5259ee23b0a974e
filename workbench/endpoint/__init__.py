"""The embedded Spine: a real HTTP endpoint that keeps the promises of the contract.

* ``policy``: the update decision, and the policies as tables.
* ``request``: routing, ``Prefer``, formats, and search parameters.
* ``validation``: whether a body is a valid STU3 resource.
* ``store``: the tables, the compare-and-swap, and the version ids.
* ``examples``: the resources that a new endpoint holds.
* ``faults``: what can go wrong on purpose.
* ``settings``: how an endpoint is started, as plain data.
* ``application``: a request in, a response out.
* ``asgi``, ``protocol``, ``server``, ``log``: the application on a socket, with uvicorn.
* ``process``: ``serve``, child processes, and workers.
* ``adapter``, ``in_process``: the application without a socket.
* ``endpoint``: ``Endpoint``, which starts an endpoint and returns clients of it.

Only ``endpoint`` imports the client: the two sides meet on the wire, so that each tests the other.
"""
