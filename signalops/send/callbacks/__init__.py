"""Callbacks of providers: a message was delivered, read or failed; an address wants no more mail.

A callback is verified first: by a secret of the channel (WhatsApp) or a signature of Amazon (SES, through SNS). Callbacks may
arrive in any order and repeatedly; signalops.apply_provider_status only moves a delivery forward.
"""
