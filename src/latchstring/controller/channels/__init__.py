"""Control channels: the endpoints' standing connections, one WebSocket each over mutually authenticated TLS 1.3."""
