"""Getting a benchmark's official archives: addresses, resumable downloads, checks, unpacking."""
