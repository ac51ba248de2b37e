"""A log's tiles written out, into a folder or an object store, for any static server to give away."""
