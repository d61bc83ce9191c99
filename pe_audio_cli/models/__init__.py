"""Checkpoints and encoders: labels and samples to embeddings. The only subpackage that imports torch."""

from pe_audio_cli.models.threads import let_waiting_threads_sleep

# torch reads the setting when it is imported, which happens below only.
let_waiting_threads_sleep()
