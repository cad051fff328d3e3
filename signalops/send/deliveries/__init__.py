"""Deliveries as people look at them: listed, shown with their attempts, retried and cancelled."""
