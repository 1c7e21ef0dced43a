import { createHash } from 'node:crypto';
import {
  apply,
  decide,
  deploymentsTopic,
  emptyDeployment,
  knownEventTypes,
  letterKindHeader,
  tasksMailbox,
} from '@torcello/contracts';
import type {
  AppendAnswer,
  ClaimAnswer,
  DeploymentEvent,
  DeploymentState,
  LetterAnswer,
  LoadAnswer,
  ReleaseAnswer,
  RenewAnswer,
  TaskHint,
} from '@torcello/contracts';
import { mailboxes, rpcClient } from '@torcello/messaging';
import type { Mailboxes, RpcClient, Transport } from '@torcello/messaging';
import { hexId, systemRandom } from '@torcello/platform';

type Granted = Extract<ClaimAnswer, { claimed: true }>;

/** The conductor's side of the agreement, step by step, for tests. */
export class FakeConductor {
  readonly holder: string = hexId(systemRandom);
  readonly boxes: Mailboxes;
  readonly #rpc: RpcClient;

  constructor(transport: Transport) {
    this.#rpc = rpcClient(transport, {
      exchange: deploymentsTopic.exchange,
      topic: deploymentsTopic.topic,
      version: deploymentsTopic.version,
    });
    this.boxes = mailboxes(transport);
  }

  /** The deployment of the next hint that is there now. */
  async takeHint(): Promise<string | undefined> {
    const letter = await this.boxes.take(tasksMailbox);
    if (letter === undefined) return undefined;
    letter.accept();
    return (JSON.parse(Buffer.from(letter.body).toString()) as TaskHint).deploymentId;
  }

  claim(deploymentId: string, nonce: string = hexId(systemRandom)): Promise<ClaimAnswer> {
    return this.#rpc.call<ClaimAnswer>('claim', {
      deploymentId,
      holder: this.holder,
      nonce,
      knownEvents: knownEventTypes,
    });
  }

  load(deploymentId: string, from = 0): Promise<LoadAnswer> {
    return this.#rpc.call<LoadAnswer>('load', { deploymentId, from });
  }

  append(request: {
    deploymentId: string;
    epoch: number;
    expectedLength: number;
    events: readonly unknown[];
  }): Promise<AppendAnswer> {
    return this.#rpc.call<AppendAnswer>('append', request);
  }

  letter(deploymentId: string, planId: string): Promise<LetterAnswer> {
    return this.#rpc.call<LetterAnswer>('letter', { deploymentId, planId });
  }

  renew(leases: readonly { deploymentId: string; epoch: number }[]): Promise<RenewAnswer> {
    return this.#rpc.call<RenewAnswer>('renew', { holder: this.holder, leases });
  }

  release(deploymentId: string, epoch: number, length: number): Promise<ReleaseAnswer> {
    return this.#rpc.call<ReleaseAnswer>('release', { deploymentId, epoch, length });
  }

  /** Claims, does everything that can be done now, and gives the lease back. Answers the state it left. */
  async workOn(deploymentId: string): Promise<DeploymentState> {
    const claim = await this.claim(deploymentId);
    if (!claim.claimed) throw new Error(`not claimed: ${claim.why}`);
    let events = await this.#loadAll(deploymentId);
    for (;;) {
      const state = events.reduce(apply, emptyDeployment);
      const intents = decide(state);
      if (intents.length === 0) {
        await this.release(deploymentId, claim.epoch, events.length);
        return state;
      }
      const next = intents.map((intent) => this.#eventOf(claim, intent));
      await this.append({
        deploymentId,
        epoch: claim.epoch,
        expectedLength: events.length,
        events: next.filter((entry) => entry.event.type !== 'planStored'),
      });
      for (const entry of next)
        if (entry.event.type === 'planScheduled') await this.post(claim, entry.event.plan.machine, entry);
      const stored = next.flatMap(({ event }): DeploymentEvent[] =>
        event.type === 'planScheduled'
          ? [{ type: 'planStored', planId: event.plan.planId, storedAtMs: Date.UTC(2026, 0, 1) }]
          : [],
      );
      const { length } = await this.load(deploymentId, events.length);
      if (stored.length > 0)
        await this.append({
          deploymentId,
          epoch: claim.epoch,
          expectedLength: length,
          events: stored.map((event) => ({ id: hexId(systemRandom), event })),
        });
      events = await this.#loadAll(deploymentId);
      const after = events.reduce(apply, emptyDeployment);
      if (after.result !== undefined) return after;
    }
  }

  /** The whole history, a page at a time. */
  async #loadAll(deploymentId: string): Promise<DeploymentEvent[]> {
    const events: DeploymentEvent[] = [];
    for (;;) {
      const page = await this.load(deploymentId, events.length);
      events.push(...page.events);
      if (events.length >= page.length) return events;
    }
  }

  async post(claim: Granted, machine: string, entry: { event: DeploymentEvent; letter?: string }): Promise<void> {
    if (entry.event.type !== 'planScheduled') return;
    const mailbox = claim.model.machines.find(({ id }) => id === machine)?.mailbox ?? '';
    const body = Buffer.from(entry.letter ?? '', 'base64');
    await this.boxes.put(mailbox, { id: entry.event.plan.planId, body, headers: { [letterKindHeader]: 'plan' } });
  }

  #eventOf(
    claim: Granted,
    intent: ReturnType<typeof decide>[number],
  ): { id: string; event: DeploymentEvent; letter?: string } {
    const id = hexId(systemRandom);
    if (intent.do === 'finish') return { id, event: { type: 'finished', result: intent.result } };
    if (intent.do === 'post') return { id, event: { type: 'planStored', planId: intent.plan.planId, storedAtMs: 0 } };
    if (intent.do === 'postCancel') return { id, event: { type: 'cancelStored', planId: intent.planId } };
    return scheduled(id, intent.machine, intent.stage, `letter for ${intent.machine} under ${claim.epoch}`);
  }
}

/** A `planScheduled` with its letter, ready for an append. */
export function scheduled(
  id: string,
  machine: string,
  stage: string,
  text: string,
): { id: string; event: DeploymentEvent; letter: string } {
  const bytes = Buffer.from(text);
  const digest = createHash('sha256').update(bytes).digest('hex');
  const plan = { planId: hexId(systemRandom), machine, stage, digest };
  return { id, event: { type: 'planScheduled', plan }, letter: bytes.toString('base64') };
}
