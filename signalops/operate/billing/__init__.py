"""The operators' desk, where it is about money: plans, credit, and what is done about wrong invoices."""
