"""What the site itself keeps beside the replicas: accounts, shares, jobs, keys. One small database of its own."""
