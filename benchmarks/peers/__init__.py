"""What the proxy is measured beside."""
