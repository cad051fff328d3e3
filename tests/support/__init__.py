"""What tests share: databases, tenants and their rows, a running API, processes, receivers and mail servers."""
