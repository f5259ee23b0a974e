"""A session as a regression test: recorded once, replayed offline, compared with a live run.

``recording`` has the session and its three modes, ``cassette`` the file and the differences, and ``logical`` the stable
names for versions, ids and dates.
"""
