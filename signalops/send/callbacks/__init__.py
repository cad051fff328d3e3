"""What providers call back: whether a message arrived, was read, failed; and who wants no more mail.

Nobody is known before a callback is verified: a secret of the channel's (WhatsApp) or a signature of Amazon's (SES, through
SNS) tells. In any order and repeated, callbacks only ever move a delivery on: signalops.hear_of_delivery.
"""
