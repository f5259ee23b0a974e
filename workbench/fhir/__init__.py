"""A FHIR resource as plain data: dicts, lists, strings, numbers.

* ``json``: read and write FHIR JSON exactly.
* ``etag``: entity tags, and the two ways to compare them.
* ``resource``: identity, version, and paths of elements.
* ``outcome``: write and read an OperationOutcome.
* ``diff``: compare two versions, element by element.
* ``merge``: merge two versions that have a common base.
* ``printable``: text from a server, safe to print; ``markup``: the same as HTML for a notebook.
"""
