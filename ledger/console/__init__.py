"""What the people of the authority and the operator type."""
