"""Tenants: made, given plans and limits, changed, suspended, closed and shown, by HTTP and at the command line alike.

Comes in: what operators ask for by HTTP, in the role signalops_platform, or at the command line, as the owner. Writes: tenants;
what else a tenant has is the other packages'. Goes out: the status that keys and tokens are refused by; every process hears of
its changes by NOTIFY. Invariant: one request is one transaction, which acts for the one tenant that was named, and locks it to
change something; a status takes the ways there are (signalops.move_status), whoever moves it.
"""
