import { createHash } from 'node:crypto';
import { knownEventTypes, limits } from '@torcello/contracts';
import type {
  AppendAnswer,
  AppendRequest,
  AppendedEvent,
  LetterAnswer,
  LetterRequest,
  LoadAnswer,
  LoadRequest,
} from '@torcello/contracts';
import type { Context } from '../context.js';
import type { Work } from '../database/store.js';
import type { DeploymentRow, LetterTable } from '../database/tables.js';
import { Refusal } from '../errors.js';
import { endOfGone } from './abandon.js';
import { deploymentRow } from './rows.js';
import { loadEvents } from './folded.js';
import type { FoldedDeployments } from './folded.js';
import type { History } from './history.js';

const rowsPerInsert = 500;

/** The lease holder's side of the histories: load, append, letter. */
export class Appends {
  readonly #context: Context;
  readonly #history: History;
  readonly #folded: FoldedDeployments;

  constructor(parts: { readonly context: Context; readonly history: History; readonly folded: FoldedDeployments }) {
    this.#context = parts.context;
    this.#history = parts.history;
    this.#folded = parts.folded;
  }

  async load(request: LoadRequest): Promise<LoadAnswer> {
    const { db } = this.#context.store;
    const row = await deploymentRow(db, request.deploymentId);
    const page = { deploymentId: request.deploymentId, from: request.from, limit: limits.loadEventsMax.value };
    return { events: await loadEvents(db, page), length: row?.length ?? 0 };
  }

  /** Compare-and-set: an old epoch is fenced off, a wrong length gets what is missing, the same ids the same answer. */
  async append(request: AppendRequest): Promise<AppendAnswer> {
    checkEvents(request.events);
    return this.#context.store.write(async (work) => {
      const row = await deploymentRow(work.db, request.deploymentId);
      if (row === undefined || row.epoch !== request.epoch) return { appended: false, why: 'fenced' } as const;
      const earlier = await this.#lengthAfterSame(work, request);
      if (earlier !== undefined) return { appended: true, length: earlier } as const;
      if (row.lease_holder === null || row.finished_at !== null) return { appended: false, why: 'fenced' } as const;
      if (row.length !== request.expectedLength) return this.#missing(work, row, request.expectedLength);
      await this.#insertLetters(work, row, request.events);
      const { row: after } = await this.#history.append(work, { row, entries: request.events, byApi: false });
      await this.#endForGone(work, after, request.events);
      return { appended: true, length: after.length } as const;
    });
  }

  /** @throws Refusal not_found. */
  async letter(request: LetterRequest): Promise<LetterAnswer> {
    const row = await this.#context.store.db
      .selectFrom('letters')
      .select(['mailbox', 'body'])
      .where('plan_id', '=', request.planId)
      .where('deployment_id', '=', request.deploymentId)
      .executeTakeFirst();
    if (row === undefined)
      throw new Refusal('not_found', `deployment ${request.deploymentId} has no letter of the plan ${request.planId}`);
    return { mailbox: row.mailbox, letter: Buffer.from(row.body).toString('base64') };
  }

  /** A machine that was taken away has no mailbox: nothing can ever be delivered to it. */
  async #endForGone(work: Work, row: DeploymentRow, events: readonly AppendedEvent[]): Promise<void> {
    const plans = events.flatMap(({ event }) => (event.type === 'planScheduled' ? [event.plan] : []));
    if (plans.length === 0 || row.finished_at !== null) return;
    const there = await work.db
      .selectFrom('machines')
      .select('id')
      .where('environment_id', '=', row.environment_id)
      .execute();
    const ids = new Set(there.map(({ id }) => id));
    const gone = plans.filter((plan) => !ids.has(plan.machine));
    if (gone.length === 0) return;
    const ends = gone.map(({ planId }) => endOfGone(row, planId, 'machine deleted'));
    await this.#history.appendByApi(work, row, ends);
  }

  async #lengthAfterSame(work: Work, request: AppendRequest): Promise<number | undefined> {
    const last = request.events.at(-1);
    if (last === undefined) return undefined;
    const row = await work.db
      .selectFrom('history')
      .select('n')
      .where('deployment_id', '=', request.deploymentId)
      .where('event_id', '=', last.id)
      .executeTakeFirst();
    return row === undefined ? undefined : row.n + 1;
  }

  async #missing(work: Work, row: DeploymentRow, from: number): Promise<AppendAnswer> {
    const page = { deploymentId: row.id, from, limit: limits.loadEventsMax.value };
    return { appended: false, why: 'length', length: row.length, missing: await loadEvents(work.db, page) };
  }

  async #insertLetters(work: Work, row: DeploymentRow, events: readonly AppendedEvent[]): Promise<void> {
    if (!events.some(({ event }) => event.type === 'planScheduled')) return;
    const { model } = await this.#folded.at(work.db, row);
    const mailboxes = new Map(model.machines.map((machine) => [machine.id, machine.mailbox]));
    const letters = events.flatMap(({ event, letter }): readonly LetterTable[] => {
      if (event.type !== 'planScheduled') return [];
      const mailbox = mailboxes.get(event.plan.machine);
      if (mailbox === undefined)
        throw new Refusal('invalid_request', `the deployment has no machine ${event.plan.machine}`);
      return [{ plan_id: event.plan.planId, deployment_id: row.id, mailbox, body: letterBytes(event.plan, letter) }];
    });
    for (let from = 0; from < letters.length; from += rowsPerInsert) {
      await work.db
        .insertInto('letters')
        .values(letters.slice(from, from + rowsPerInsert))
        .execute();
    }
  }
}

/** What a lease holder may write; everything else comes from users and agents, through the API. */
const conductorEventTypes: ReadonlySet<string> = new Set(
  knownEventTypes.filter(
    (type) => !['accepted', 'leftAlone', 'cancelRequested', 'supersedeRequested', 'resumed'].includes(type),
  ),
);

/** Events that only the API writes are refused, and so is what this release cannot fold. */
function checkEvents(events: readonly AppendedEvent[]): void {
  if (events.length === 0) throw new Refusal('invalid_request', 'an append needs an event');
  const wrong = events.find(({ event }) => !conductorEventTypes.has(event.type));
  if (wrong !== undefined)
    throw new Refusal('invalid_request', `a conductor cannot append the event "${wrong.event.type}"`);
  const bytes = events.reduce((sum, { letter }) => sum + Math.ceil(((letter?.length ?? 0) * 3) / 4), 0);
  // One letter may fill an append: then the sum may exceed the limit by Base64's rounding only.
  if (bytes <= limits.appendBytesMax.value + 3) return;
  throw new Refusal(
    'too_large',
    `letters of ${bytes} bytes in one append; at most ${limits.appendBytesMax.value} are allowed`,
  );
}

function letterBytes(
  plan: { readonly planId: string; readonly digest: string },
  letter: string | undefined,
): Uint8Array {
  if (letter === undefined) throw new Refusal('invalid_request', `the plan ${plan.planId} comes without its letter`);
  const bytes = Buffer.from(letter, 'base64');
  if (bytes.length > limits.planBytesMax.value) {
    throw new Refusal(
      'too_large',
      `the plan ${plan.planId} has ${bytes.length} bytes; at most ${limits.planBytesMax.value} are allowed`,
    );
  }
  const digest = createHash('sha256').update(bytes).digest('hex');
  if (digest !== plan.digest)
    throw new Refusal('invalid_request', `the letter of the plan ${plan.planId} has another digest`);
  return bytes;
}
