/**
 * The shell program that carries out one step of ours on a machine whose agent is a real `muranoagent`. That agent drops a
 * plan that it was interrupted in, and answers only once, at the end; so the program keeps a small record of its own on
 * the machine: whoever sends the plan again, under a new ID and Stamp, gets what was done already told, waits for what
 * still runs, and starts nothing twice.
 *
 * It is POSIX sh with `setsid`, `timeout` and `base64`. The entry point of the step sets the variables and the functions
 * `files`, `run_words` and `check_words`, and reads this file.
 *
 * Its answer is one line, `torcello OUTCOME EXIT-CODE STARTED FINISHED BYTES` (seconds since 1970), and the end of the
 * step's output in Base64: murano-agent fails where output is no UTF-8.
 */
export const stepSource: string = String.raw`# One step. Without arguments: sourced by the entry point. 'inner': runs the words in a session of its own.
if [ "${'${1-}'}" = inner ]; then
  record=$2 limit=$3 app=$4; shift 4
  mkdir "$record.claim" 2>/dev/null || exit 0
  starts=$(sed 's/.*) //' "/proc/$$/stat" 2>/dev/null | cut -d' ' -f20)
  printf '%s %s\n' "$$" "$starts" > "$record.pid.part" && mv "$record.pid.part" "$record.pid"
  cd "$app" || exit 126
  began=$(date +%s)
  if [ "$limit" = 0 ]; then "$@"; else timeout -k 10 "$limit" "$@"; fi
  code=$? ended=$(date +%s)
  if [ "$limit" != 0 ] && [ $((ended - began)) -ge "$limit" ] && { [ $code = 124 ] || [ $code = 137 ]; }; then code=timedOut; fi
  printf '%s %s\n' "$code" "$ended" > "$record.exit.part"
  sync "$record.exit.part" 2>/dev/null
  mv "$record.exit.part" "$record.exit"
  exit 0
fi

here=$(pwd -P)
base=$(cd ../../.. && pwd -P)/torcello
state=$base/plans/$plan
app=$base/applications/$folder
step=$state/$number
output=$step.output
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown)
umask 022
mkdir -p "$app" && mkdir -p -m 0700 "$state" || exit 1
chmod 0700 "$base/plans"
find "$base/plans" -mindepth 1 -maxdepth 1 -mtime +30 -exec rm -rf {} + 2>/dev/null

tell() { # outcome, exit code, finished
  size=0
  [ -f "$output" ] && size=$(($(wc -c < "$output")))
  printf 'torcello %s %s %s %s %s\n' "$1" "$2" "$(cat "$step.since" 2>/dev/null || echo "$3")" "$3" "$size"
  [ "$size" -gt 0 ] && tail -c "$tail_bytes" "$output" | base64
  [ "$1" = succeeded ]
  exit
}

broken() {
  printf 'torcello: %s\n' "$1" >> "$output"
  tell failed 1 "$(date +%s)"
}

place() { # file, mode, path
  case $3 in /*) target=$3 ;; *) target=$app/$3 ;; esac
  mkdir -p "$(dirname "$target")" && base64 -d < "$here/$1" > "$target.torcello-new" &&
    chmod "$2" "$target.torcello-new" && mv -f "$target.torcello-new" "$target" || broken "the file $3 could not be written"
}

remove() {
  case $1 in /*) rm -f "$1" ;; *) (cd "$app" && rm -f "$1" && rmdir -p "$(dirname "$1")" 2>/dev/null) ;; esac
  return 0
}

# The words after VARIABLE=VALUE words, with nothing else in their environment than a step of ours has.
local_first='case $1 in */*) ;; *) if [ -e "./$1" ]; then first=./$1; shift; set -- "$first" "$@"; fi ;; esac; exec "$@"'
launch() {
  setsid sh "$here/torcello-step" inner "$attempt" "$limit" "$app" env -i "PATH=$PATH" "HOME=${'${HOME:-/}'}" \
    "LANG=${'${LANG:-C.UTF-8}'}" "TORCELLO_NODE=$(command -v node)" "TORCELLO_FOLDER=$app" "$@" \
    >> "$output" 2>&1 < /dev/null &
}

begin() { # attempt number
  attempt=$step.$1
  printf '%s %s\n' "$1" "$boot" > "$step.began.part"
  sync "$step.began.part" 2>/dev/null
  mv "$step.began.part" "$step.began"
  [ -f "$step.since" ] || date +%s > "$step.since"
  files
  if [ "$has_words" = no ]; then printf '0 %s\n' "$(date +%s)" > "$attempt.exit"; else run_words; fi
}

is_alive() {
  [ -f "$attempt.pid" ] || return 1
  read -r pid starts < "$attempt.pid"
  now=$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d' ' -f20)
  [ -n "$now" ] && [ "$now" = "$starts" ]
}

# Until it is known how the attempt ended: 0 there is an exit, 1 it vanished, 2 it never started and never will.
await() {
  missing=0
  until [ -f "$attempt.exit" ]; do
    if [ "$booted" != "$boot" ]; then return 1; fi
    if ! is_alive; then
      missing=$((missing + 1))
      if [ $missing -gt 2 ] && [ -f "$attempt.pid" ]; then
        [ -f "$attempt.exit" ] && return 0
        return 1
      fi
      if [ $missing -gt 30 ]; then
        mkdir "$attempt.claim" 2>/dev/null && return 2
        [ $missing -gt 600 ] && return 1
      fi
    fi
    sleep 0.1 2>/dev/null || sleep 1
  done
  return 0
}

await_reboot() { # exit code, finished
  [ "$booted" != "$boot" ] && tell succeeded "$1" "$2"
  waited=0
  while [ $waited -lt 600 ]; do sleep 1; waited=$((waited + 1)); done
  printf 'torcello: the step asked for a restart of the machine, and there was none\n' >> "$output"
  tell failed "$1" "$(date +%s)"
}

if [ -f "$step.began" ]; then
  read -r nth booted < "$step.began"
  attempt=$step.$nth
else
  if [ -n "$start_by" ] && [ "$(date +%s)" -gt "$start_by" ] && [ "$number" = 1 ]; then tell expired 0 "$(date +%s)"; fi
  nth=1 booted=$boot
  begin 1
fi
while :; do
  await
  case $? in
    0)
      read -r code ended < "$attempt.exit"
      [ "$code" = timedOut ] && tell timedOut 124 "$ended"
      if [ "$code" = 194 ] || { [ "$reboot" = expected ] && [ "$code" = 0 ]; }; then await_reboot "$code" "$ended"; fi
      [ "$code" = 0 ] && tell succeeded 0 "$ended"
      tell failed "$code" "$ended"
      ;;
    1)
      [ "$reboot" = expected ] && [ "$booted" != "$boot" ] && tell succeeded 0 "$(date +%s)"
      if [ "$policy" = fail ] || [ "$nth" -ge 5 ]; then tell interrupted 1 "$(date +%s)"; fi
      if [ "$policy" = check ]; then
        attempt=$step.check$nth
        rm -rf "$attempt.claim" "$attempt.pid" "$attempt.exit"
        booted=$boot
        check_words
        if await && read -r code ended < "$attempt.exit" && [ "$code" = 0 ]; then tell succeeded 0 "$ended"; fi
      fi
      ;;
  esac
  nth=$((nth + 1)) booted=$boot
  begin "$nth"
done
`;
