"""The embedded Spine: a real HTTP endpoint that keeps the promises of the contract.

It asks ``workbench.rules`` what to answer and its store what is current. It never imports the client:
the two meet on the wire only, so that each tests the other.
"""
