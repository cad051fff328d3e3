"""Tenants: who they are, and whether their requests are let in.

Comes in: what operators ask for. Goes out: the status that the key ring and the directory refuse by; every process hears of
its changes by NOTIFY. Writes: tenants. Invariant: a status takes the ways there are (signalops.move_status), whoever moves it.
"""
