"""Multi-tenant chat channels: history, typing, read receipts, presence."""
