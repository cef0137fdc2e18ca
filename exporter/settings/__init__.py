"""What the operator may say: composed of the rooms' own terms, loaded, checked and shown."""
