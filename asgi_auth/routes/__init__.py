"""Our own routes, one file each."""
