"""The exchanges in order, and everything made of them.

``journal`` records exchanges and returns tables, ``store`` keeps them in memory or in an SQLite file, and ``records``
turns one exchange into a row or a line of JSON. ``redaction`` replaces personal data and ``secrets`` credentials.
``export`` writes private files, JSON Lines, HAR and CSV; ``diagram`` and ``timeline`` draw.
"""
