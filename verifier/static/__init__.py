"""Style sheets and scripts served as they are."""
