"""Actions of live sound, which follow when a sound is heard: clips, commands, webhooks, MQTT."""
