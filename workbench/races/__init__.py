"""Races and schedules: several clients update the same resources.

``schedule`` plays steps in an order that is written down, or in every order. ``race`` runs clients at once, in threads,
processes or any executor. ``strategy`` lists what a client does after a conflict. ``results`` has the figures, tables
and charts of a race.
"""
