"""HTTPS listeners: TLS handshakes under limits, and HTTP connections that stay polite about a stranger's mistakes."""
