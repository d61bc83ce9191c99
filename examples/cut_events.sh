#!/usr/bin/env bash
# Cut out every event of one label: a WAV file for each, named after its number and its times.
set -euo pipefail

if (($# != 3 && $# != 4)); then
  cat >&2 <<USAGE
usage: ${0##*/} FILE LABEL OUTDIR [TRACK]

Writes OUTDIR/NNN_START-END.wav, times in seconds. A cut that exists is refused. Needs ffmpeg.
Of a file with several sound tracks the first is heard and cut, or the one whose number, from 1, is TRACK.
example: ${0##*/} meeting.mp4 'a phone ringing' rings
USAGE
  exit 2
fi

file=$1 label=$2 outdir=$3 track=${4:-1}
if [[ ! -f $file ]]; then
  echo "$file: no such file" >&2
  exit 1
fi

events=$(peaudio localize --format tsv --label="$label" --audio-track="$track" -- "$file")
# The name and the label stand first in a row and may hold anything, so the columns are counted from the end.
times=$(awk -F '\t' 'NF > 3 && $(NF - 1) ~ /^[0-9.]+$/ { print $(NF - 2), $(NF - 1) }' <<<"$events")
if [[ -z $times ]]; then
  echo "$file: '$label' is not heard" >&2
  exit 0
fi

mkdir -p -- "$outdir"
number=0
while read -r start end; do
  number=$((number + 1))
  cut=$(printf '%s/%03d_%s-%s.wav' "$outdir" "$number" "$start" "$end")
  # "file:" keeps ffmpeg from seeing a protocol in a name with a colon, or an option in one with a dash.
  ffmpeg -nostdin -hide_banner -loglevel error -n -ss "$start" -to "$end" -i "file:$file" -map "0:a:$((track - 1))" "file:$cut"
  echo "$cut"
done <<<"$times"
