"""The vendor's side: API, control channels, sessions, relay, audit log, accounts, storage."""
