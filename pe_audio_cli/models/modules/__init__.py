"""The checkpoint's modules, written plainly."""
