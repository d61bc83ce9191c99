# peaudio for the CPU, with the built-in checkpoint `mini`: it needs no network, and runs as a user without rights.
#
#   docker build -t peaudio .
#   docker run --rm --network none --read-only --tmpfs /tmp -v "$PWD:/data:ro" peaudio tag recordings -l 'a dog,rain'
FROM python:3.11-slim AS build

COPY constraints.txt /src/
RUN python -m venv /opt/peaudio \
 && /opt/peaudio/bin/pip install --no-cache-dir --disable-pip-version-check \
      --index-url https://download.pytorch.org/whl/cpu "$(grep '^torch==' /src/constraints.txt)"
COPY pyproject.toml README.md LICENSE CHANGELOG.md /src/
COPY pe_audio_cli /src/pe_audio_cli
RUN /opt/peaudio/bin/pip install --no-cache-dir --disable-pip-version-check \
      --constraint /src/constraints.txt '/src[parquet,plot]'

FROM python:3.11-slim

RUN useradd --uid 10001 --create-home peaudio
COPY --from=build /opt/peaudio /opt/peaudio
ENV PATH=/opt/peaudio/bin:$PATH \
    HF_HOME=/tmp/huggingface \
    MPLCONFIGDIR=/tmp/matplotlib \
    XDG_CACHE_HOME=/tmp/cache
USER 10001
WORKDIR /data
ENTRYPOINT ["peaudio"]
CMD ["--help"]
