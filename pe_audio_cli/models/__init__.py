"""Labels and samples in, embeddings out: everything that knows torch."""

from pe_audio_cli.models.threads import let_waiting_threads_sleep

# Torch reads it when it is loaded, and all that loads it is below.
let_waiting_threads_sleep()
