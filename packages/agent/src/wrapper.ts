/**
 * The few lines of POSIX sh under which every command runs, in a session of its own, so that it goes on when the agent
 * ends. First it claims the attempt with a file that only one can make: an agent that comes back and makes that file
 * itself knows that the command did not start and never will. The claim is there as a whole or not at all, also on a full
 * disk: then the wrapper ends, and the command never starts. When the command has ended, its exit status is left in
 * a file. A signal meant for the command's group does not end the wrapper before it wrote the status.
 *
 * It puts itself into the step's control group before that, so that the command and all its children are in it. On a full
 * disk it waits until the exit status can be written, unless the agent has cleared the step away.
 *
 * Arguments: claim file, status file, the group's list of processes (or nothing), program, its arguments. Where the agent
 * is not the parent any more, the two files and the output are all there is.
 */
export const wrapperScript: string = `trap : HUP INT TERM
claim=$1 status=$2 group=$3
shift 3
[ -z "$group" ] || { printf '%s\\n' "$$" > "$group"; } 2>/dev/null || :
stat=
read -r stat 2>/dev/null < "/proc/$$/stat"
mine=$claim.$$
{ printf '%s\\nend\\n' "$stat" > "$mine" && command -p ln "$mine" "$claim"; } 2>/dev/null || {
  command -p rm -f "$mine"
  exit 125
}
command -p rm -f "$mine"
(exec "$@")
code=$?
until { printf '%s end\\n' "$code" > "$status"; } 2>/dev/null; do
  [ -e "$claim" ] || exit 1
  sleep 1
done
`;
