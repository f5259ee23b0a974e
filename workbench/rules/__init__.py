"""What the update protocol means, as pure code: no I/O, no clock, no randomness, no threads.

Time and ids come in as arguments. The endpoint asks these modules what to answer, the client asks
them what an answer means; neither knows the other.
"""
