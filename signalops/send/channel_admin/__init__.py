"""Administration of channels: add, change, test and delete them. A configuration is checked before it is stored."""
