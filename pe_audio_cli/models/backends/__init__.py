"""What runs a checkpoint, one file each."""
