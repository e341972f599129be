"""Web push: what a browser's own push service brings to a phone (RFC 8030, 8291, 8292)."""
