"""Which rigs there are: from files, address ranges and service discovery, and which shard serves them."""
