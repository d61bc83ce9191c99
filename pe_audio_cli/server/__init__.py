"""``peaudio serve``: a loaded model behind HTTP. Only this package imports starlette and uvicorn."""
