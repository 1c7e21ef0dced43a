#!/bin/sh
# Ends the service of this folder. The process id alone proves nothing, it may belong to somebody else by now: the
# command line has to name this folder's program.
set -eu
cd "${TORCELLO_FOLDER:-.}"
here=$(pwd -P)
[ -f server.pid ] || { echo "not running"; exit 0; }
pid=$(cat server.pid)

is_ours() {
  if [ -r "/proc/$pid/cmdline" ]; then
    tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF "$here/server.mjs"
  else
    ps -o args= -p "$pid" 2>/dev/null | grep -qF "$here/server.mjs"
  fi
}

if is_ours; then
  kill -TERM "$pid" 2>/dev/null || true
  tries=0
  while is_ours && [ "$tries" -lt 50 ]; do
    tries=$((tries + 1))
    sleep 0.1
  done
  if is_ours; then kill -KILL "$pid" 2>/dev/null || true; fi
  echo "stopped $pid"
else
  echo "process $pid is not ours, or gone"
fi
rm -f server.pid
