"""What can be asked once from the command line: scan a range, read one rig, record its answers, try the sources."""
