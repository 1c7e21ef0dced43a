#!/bin/sh
# Starts the service in a session of its own, so that it stays when this step ends. Running it again replaces the
# service that runs.
set -eu
cd "$TORCELLO_FOLDER"
here=$(pwd -P)
sh stop.sh

# The whole path: stop.sh knows the service by it.
if command -v setsid >/dev/null 2>&1; then
  setsid "$TORCELLO_NODE" "$here/server.mjs" </dev/null >server.log 2>&1 &
else
  nohup "$TORCELLO_NODE" "$here/server.mjs" </dev/null >server.log 2>&1 &
fi
started=$!

tries=0
while [ ! -s server.pid ]; do
  tries=$((tries + 1))
  if [ "$tries" -gt 100 ] || ! kill -0 "$started" 2>/dev/null; then
    echo "the service did not start:" >&2
    tail -n 20 server.log >&2
    kill -TERM "$started" 2>/dev/null || true
    exit 1
  fi
  sleep 0.1
done
cat server.log
