"""Facts about an installation and its machine, for bug reports: ``peaudio doctor``."""
