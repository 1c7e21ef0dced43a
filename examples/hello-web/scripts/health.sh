#!/bin/sh
# Healthy when the service answers on its port and greets with the words from the properties.
set -eu
cd "$TORCELLO_FOLDER"
exec "$TORCELLO_NODE" health.mjs
