#!/usr/bin/env bash
# Tag the days of a recorder that are not tagged yet; made for cron.
set -euo pipefail

if (($# != 3)); then
  cat >&2 <<USAGE
usage: ${0##*/} FOLDER OUTDIR LABELS_FILE

FOLDER holds one subfolder a day, or for any other batch that is complete when this runs. Each that has no
OUTDIR/NAME.jsonl yet is tagged into it; one that was interrupted goes on where it stopped. OUTDIR/nightly.log tells
what happened; all else is silence as long as all is well. Needs flock, which every Linux has.

exit code, the worst of all days: 0 all done; 1 some recordings failed, the log names them; 2 a day was not started,
the log says why; 75 the last night still runs
example, in a crontab: 0 2 * * * ${0##*/} /srv/recordings /srv/tags /srv/labels.txt
USAGE
  exit 2
fi

folder=$1 outdir=$2 labels_file=$3
mkdir -p -- "$outdir"
log=$outdir/nightly.log

say() { printf '%s %s\n' "$(date '+%Y-%m-%d %H:%M:%S')" "$*" >>"$log"; }

exec 9>"$outdir/.lock"
if ! flock --nonblock 9; then
  say 'the last night still runs: nothing was started'
  exit 75
fi

worst=0
for day in "$folder"/*/; do
  name=$(basename -- "$day")
  tags=$outdir/$name.jsonl
  # A file of this name is complete: peaudio writes under another one until it is.
  if [[ ! -d $day || -e $tags ]]; then
    continue
  fi
  say "$name: start"
  code=0
  peaudio tag --resume --format jsonl --output "$tags" --labels-file "$labels_file" -- "$day" >>"$log" 2>&1 || code=$?
  say "$name: exit code $code"
  worst=$((code > worst ? code : worst))
done

if ((worst > 0)); then
  echo "not all is well; see $log" >&2
fi
exit "$worst"
