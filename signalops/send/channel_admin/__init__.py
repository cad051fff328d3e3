"""Channels as people manage them: added, changed, tried out and deleted, checked before they are stored.

A delivery should not be the first to find the mistake.
"""
