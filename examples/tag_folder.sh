#!/usr/bin/env bash
# Tag every recording of a folder, its subfolders included, into one CSV: a row for each recording and label.
set -euo pipefail

if (($# < 2)); then
  cat >&2 <<USAGE
usage: ${0##*/} FOLDER OUT.csv [LABEL...]

A LABEL may hold commas; without any, the checkpoint's own labels are taken. A recording that cannot be read is named
on standard error, and the exit code is then 1. An OUT.csv that exists is refused.
example: ${0##*/} ~/recordings tags.csv 'a dog barking' 'a person speaking'
USAGE
  exit 2
fi

folder=$1 csv=$2
shift 2
options=(--format csv --output "$csv")
for label in "$@"; do
  options+=("--label=$label")
done

exec peaudio tag "${options[@]}" -- "$folder"
