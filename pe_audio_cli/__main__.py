"""``python -m pe_audio_cli``: the command line, where ``peaudio`` is not on the PATH."""

from pe_audio_cli.cli.app import main

if __name__ == "__main__":
    main()
