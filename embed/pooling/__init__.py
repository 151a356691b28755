"""From the states of a text's tokens to one vector."""
