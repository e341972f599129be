"""Short messages to a telephone, by the HTTP gateway that a community has a contract with."""
