import { sleep, type Clock } from '@torcello/platform';
import { agentLimits } from './limits.js';
import { announce } from './points.js';
import { listProcesses, isAlive, signalProcess, type ListedProcess, type ProcessIdentity } from './processes.js';
import { groupMembers, killGroup } from './step-groups.js';

/** Everything that tells the processes of a step's attempt from others. */
export interface StepTree {
  readonly planId: string;
  /** The wrapper, which leads a process group of its own; undefined when it is not known or never was. */
  readonly leader: ProcessIdentity | undefined;
  /** `NAME=value` that all its processes got into their environment, each of them. */
  readonly marks: readonly string[];
  /** Folder of its control group. */
  readonly group: string | undefined;
}

export interface TreeWorld {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** `hasKilled`: not all ended when they were asked. `left`: so many could not be ended. */
export interface TreeEnd {
  readonly hasKilled: boolean;
  readonly left: number;
}

const pollMs = 100;
/** The wrapper writes down how its command ended, and gets so long for it. */
const wrapperMs = 1_000;

/**
 * Ends the whole tree of an attempt: whatever is in its control group, in its process group or carries its marks, and
 * all children of these. Asked first; after `graceMs` killed, the wrapper last, so that the exit status is not lost.
 * Resolves when nothing is left; true when somebody had to be killed. What a process group, a control group and the
 * environment all do not show is not found.
 * @param signal - gives up; the next agent goes on with it.
 */
export async function endTree(tree: StepTree, graceMs: number, world: TreeWorld): Promise<TreeEnd> {
  const { clock, signal } = world;
  const asked = new Set<number>();
  let hasKilled = false;
  let left = await membersOf(tree);
  // From when they can be asked: on a busy machine the look for them alone may take longer than the grace.
  const killAtMs = clock.monotonicMs() + graceMs;
  const wrapperAtMs = killAtMs + wrapperMs;
  const giveUpAtMs = wrapperAtMs + agentLimits.killWaitMs.value;
  for (; ; left = await membersOf(tree)) {
    const nowMs = clock.monotonicMs();
    if (left.length === 0 || nowMs > giveUpAtMs) return { hasKilled, left: left.length };
    for (const pid of left) {
      const isWrapper = pid === tree.leader?.pid;
      if (nowMs >= (isWrapper ? wrapperAtMs : killAtMs)) {
        hasKilled ||= !isWrapper;
        signalProcess(pid, 'SIGKILL');
      } else if (!isWrapper && !asked.has(pid)) {
        signalProcess(pid, 'SIGTERM');
      }
      asked.add(pid);
    }
    announce(nowMs >= killAtMs ? 'treeKilled' : 'treeAsked', { planId: tree.planId });
    if (nowMs > wrapperAtMs && tree.group !== undefined) await killGroup(tree.group);
    await sleep(clock, pollMs, signal);
  }
}

/** Ids of the processes that belong to the tree now. */
async function membersOf(tree: StepTree): Promise<readonly number[]> {
  const { leader, marks, group } = tree;
  const isLed = leader !== undefined && (await isAlive(leader));
  const all = await listProcesses();
  const grouped = new Set(group === undefined ? [] : await groupMembers(group));
  const members = new Set<number>();
  for (const { pid, processGroup, environment } of all) {
    const isMarked = marks.every((mark) => environment.includes(mark));
    // Once its leader is gone the number of a process group may be that of a stranger's.
    const isInGroup = isLed && processGroup === leader.pid;
    if (isMarked || isInGroup || grouped.has(pid)) members.add(pid);
  }
  addChildren(members, all);
  members.delete(process.pid);
  return [...members];
}

function addChildren(members: Set<number>, all: readonly ListedProcess[]): void {
  for (let before = -1; before !== members.size;) {
    before = members.size;
    for (const { pid, parent } of all) if (members.has(parent)) members.add(pid);
  }
}
