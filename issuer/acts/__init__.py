"""Acts of a body on certificates that are in the log: rulings, corrections, reissues, posts, keys."""
