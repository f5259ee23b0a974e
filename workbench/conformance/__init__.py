"""The executable contract: probes that try whether an endpoint keeps each promise, and reports of what they found.

The check:

* ``contract``: the promises as data.
* ``probe`` and ``probes``: what a probe works with, and the probes by chapter.
* ``under_check`` and ``responses``: the endpoint with its resources, and what probes read from a response.
* ``run``: ``check``. ``finding`` and ``report``: what one probe found out, and all findings in their forms.
* ``servers``: known servers as data, and a comparison with their answers.

Random sequences:

* ``explore``: choose the steps, send them, and shorten a sequence that disagrees.
* ``rules`` and ``model``: what is demanded, as a table, and what an endpoint stores and may answer.
* ``comparison`` and ``exploration``: one answer against what is expected, and what exploring found.
"""
