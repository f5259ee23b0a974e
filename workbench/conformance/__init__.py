"""The executable contract: probes that try whether an endpoint keeps each promise, and reports of what they found.

contract: the promises as data. finding: what one probe found out. servers: known servers as data, and a comparison
with their answers. responses: what probes read from a response. under_check: the endpoint under check and its
resources. probe: a probe and what it works with. probes: the probes, by chapter. run: ``check``. report: all findings
of a check, and their forms.

explore: random sequences. rules: what a model demands, as a table. model: what an endpoint stores, and what it may
answer. comparison: one answer against what is expected. exploration: what exploring found.
"""
