"""The operators' desk: tenants are made, given plans, limits, keys and credit, billed right, suspended and closed.

Comes in: what operators ask for by HTTP, in the role signalops_platform, or at the command line, as the owner. Goes out: what the
stations make of it. It has no rules of its own beyond which of them go together. Invariant: one request is one transaction, which
acts for the one tenant that was named, and holds it when it changes something.
"""
