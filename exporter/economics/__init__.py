"""What mining, power and AI are worth: pure arithmetic on one snapshot."""
