"""What operators see of the server: its log. Here does not belong what users are told."""
