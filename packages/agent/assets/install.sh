#!/bin/sh
# Installs the Torcello agent on this machine.
#
#   curl -fsS @TORCELLO_API@/install.sh | sh -s -- LINE
#
# LINE is the join line that "torcello machine add" prints; it may stand in the environment variable TORCELLO_JOIN instead,
# where other users of the machine do not see it. The agent is one file and needs Node 20.19 or newer. Where there is
# systemd and this runs as root, a service is set up; elsewhere the command to start is printed.
#
#   --prefix DIR   where the program goes   (root: /usr/local/lib/torcello-agent, else ~/.local/lib/torcello-agent)
#   --data DIR     where the agent's data go   (root: /var/lib/torcello-agent, else ~/.local/share/torcello-agent)
#   --no-service   set up no service, also where there is systemd
set -eu

api='@TORCELLO_API@'
digest='@TORCELLO_AGENT_SHA256@'

say() { printf '%s\n' "$*"; }
fail() {
  printf 'torcello: %s\n' "$*" >&2
  exit 1
}

# Everything happens in functions, so that a download that breaks off runs nothing.
main() {
  read_options "$@"
  find_node
  fetch_agent
  if [ "$service" = yes ] && [ "$(id -u)" = 0 ] && [ -d /run/systemd/system ]; then
    install_service
  else
    print_start
  fi
}

read_options() {
  join=${TORCELLO_JOIN:-}
  service=yes
  if [ "$(id -u)" = 0 ]; then
    prefix=/usr/local/lib/torcello-agent
    data=/var/lib/torcello-agent
  else
    prefix=${HOME:?}/.local/lib/torcello-agent
    data=$HOME/.local/share/torcello-agent
  fi
  while [ $# -gt 0 ]; do
    case $1 in
      --prefix) prefix=${2:?--prefix needs a folder} && shift ;;
      --data) data=${2:?--data needs a folder} && shift ;;
      --no-service) service=no ;;
      tcjoin1.*) join=$1 ;;
      *) fail "\"$1\" is neither an option nor a join line" ;;
    esac
    shift
  done
}

find_node() {
  node=$(command -v node || true)
  [ -n "$node" ] || fail "Node 20.19 or newer is needed and there is none: install the package nodejs, or take it from nodejs.org, and run this again"
  "$node" -e '
    const [major, minor] = process.versions.node.split(".").map(Number);
    process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1);
  ' || fail "Node 20.19 or newer is needed and $node is $("$node" --version): install a newer one and run this again"
}

fetch_agent() {
  umask 022
  mkdir -p "$prefix"
  fresh=$prefix/torcello-agent.mjs.new
  if command -v curl >/dev/null 2>&1; then
    curl -fsS -o "$fresh" "$api/agent.mjs" || fail "$api/agent.mjs cannot be fetched"
  elif command -v wget >/dev/null 2>&1; then
    wget -q -O "$fresh" "$api/agent.mjs" || fail "$api/agent.mjs cannot be fetched"
  else
    fail "curl or wget is needed: install one of them and run this again"
  fi
  found=$("$node" -e '
    const { createHash } = require("node:crypto");
    const { readFileSync } = require("node:fs");
    console.log(createHash("sha256").update(readFileSync(process.argv[1])).digest("hex"));
  ' "$fresh")
  if [ "$found" != "$digest" ]; then
    rm -f "$fresh"
    fail "the agent from $api is not the one this script was made for (SHA-256 $found): fetch the script again"
  fi
  chmod 755 "$fresh"
  mv "$fresh" "$prefix/torcello-agent.mjs"
  say "installed $prefix/torcello-agent.mjs $("$node" "$prefix/torcello-agent.mjs" --version)"
}

install_service() {
  if [ -n "$join" ]; then
    mkdir -p /etc/torcello
    (umask 077 && printf 'TORCELLO_JOIN=%s\n' "$join" > /etc/torcello/agent.env)
  fi
  # KillMode=process: what a plan started stays when the agent is stopped, and a running step is adopted at its next start.
  # Delegate=yes: the agent makes a control group for each step, so that a cancel finds all of its processes.
  cat > /etc/systemd/system/torcello-agent.service <<UNIT
[Unit]
Description=Torcello agent
After=network-online.target
Wants=network-online.target

[Service]
EnvironmentFile=-/etc/torcello/agent.env
Environment=UV_THREADPOOL_SIZE=2 MALLOC_ARENA_MAX=2
ExecStart="$node" --optimize-for-size --max-semi-space-size=1 "$prefix/torcello-agent.mjs" --data "$data"
KillMode=process
Delegate=yes
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
UNIT
  systemctl daemon-reload
  systemctl enable torcello-agent.service
  systemctl restart torcello-agent.service
  say "the agent runs as the service torcello-agent: systemctl status torcello-agent"
}

print_start() {
  say "start it with:"
  if [ -n "$join" ]; then
    say "  TORCELLO_JOIN='$join' '$node' '$prefix/torcello-agent.mjs' --data '$data'"
  else
    say "  '$node' '$prefix/torcello-agent.mjs' --data '$data' --join LINE"
  fi
}

case $api$digest in
  *@*) fail "this is only the template: fetch the script from a Torcello API, at /install.sh" ;;
esac
main "$@"
