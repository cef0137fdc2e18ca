"""What all rooms speak of, as frozen data: readings, the fleet, snapshots, units, failures. No I/O, no clock."""
