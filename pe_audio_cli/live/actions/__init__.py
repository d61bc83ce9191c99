"""What happens when a sound is heard: clips, commands, webhooks, MQTT."""
