"""Sources of live sound: files at their own pace, pipes, streams from the network, microphones."""
