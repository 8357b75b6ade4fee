"""`otel-zdr demo`: an application that knows nothing of otel-zdr, its vendor, its backend, the comparison."""
