import { isMessagingError } from '@torcello/messaging';
import type { Transport } from '@torcello/messaging';
import type { Context } from '../context.js';
import { writeAudit } from '../database/audit.js';
import type { DeadLetterRow } from '../database/mailbox-tables.js';
import type { Db } from '../database/store.js';
import { Refusal } from '../errors.js';
import { isoTime } from '../times.js';

/** A message that could not be handled, as people see it. What is in it was written by an agent: never trusted. */
export interface DeadLetterView {
  readonly id: string;
  /** The mailbox of the API that it came to. */
  readonly source: string;
  readonly routingKey: string;
  /** Who sent it, by the routing key that its login may use. */
  readonly machine?: { readonly id: string; readonly name?: string };
  readonly messageId?: string;
  readonly contentType?: string;
  readonly reason: string;
  readonly attempts: number;
  readonly at: string;
  readonly bytes: number;
  /** False when only its beginning is kept: then it cannot be requeued. */
  readonly isWhole: boolean;
}

const publishTimeoutMs = 10_000;
const listedMax = 1_000;
/** Of its body in one answer. */
const textBytesMax = 4_096;

type Named = DeadLetterRow & { readonly machine_name: string | null };

/** Newest first. */
export async function listDeadLetters(db: Db): Promise<readonly DeadLetterView[]> {
  const rows = await named(db).orderBy('dead_letters.at', 'desc').orderBy('dead_letters.id').limit(listedMax).execute();
  return rows.map(view);
}

/** With its headers and the beginning of its text. @throws Refusal not_found. */
export async function showDeadLetter(
  db: Db,
  id: string,
): Promise<DeadLetterView & { readonly headers: unknown; readonly text: string }> {
  const row = await named(db).where('dead_letters.id', '=', id).executeTakeFirst();
  if (row === undefined) throw noDeadLetter(id);
  const text = new TextDecoder().decode(row.body.subarray(0, textBytesMax));
  return { ...view(row), headers: JSON.parse(row.headers) as unknown, text };
}

/**
 * Sends it once more to where it was sent first, under its own id; it has five new attempts. @throws Refusal not_found,
 * too_large, not_ready.
 */
export async function requeueDeadLetter(
  context: Context,
  transport: Transport | undefined,
  id: string,
): Promise<DeadLetterView> {
  const { store } = context;
  const row = await named(store.db).where('dead_letters.id', '=', id).executeTakeFirst();
  if (row === undefined) throw noDeadLetter(id);
  if (row.is_whole === 0)
    throw new Refusal('too_large', `only ${row.body.length} of ${row.bytes} bytes of it are kept`, {
      cure: `torcello deadletter discard ${id}`,
    });
  const cure = 'see whether the broker is up (GET /healthz), and try again';
  if (transport === undefined) throw new Refusal('not_ready', 'the broker is away', { cure });
  try {
    await transport.publish(
      { exchange: row.exchange, routingKey: row.routing_key },
      {
        body: row.body,
        headers: JSON.parse(row.headers) as Readonly<Record<string, unknown>>,
        properties: {
          ...(row.message_id === null ? {} : { messageId: row.message_id }),
          ...(row.content_type === null ? {} : { contentType: row.content_type }),
        },
        persistent: true,
        ifNobody: 'fail',
      },
      { timeoutMs: publishTimeoutMs, resend: true },
    );
  } catch (cause) {
    if (!isMessagingError(cause)) throw cause;
    throw new Refusal('not_ready', `the broker did not take it: ${cause.code}`, { cause, cure });
  }
  await forget(context, row, 'deadLetter.requeued');
  return view(row);
}

/** Drops it for good. @throws Refusal not_found. */
export async function discardDeadLetter(context: Context, id: string): Promise<DeadLetterView> {
  const row = await named(context.store.db).where('dead_letters.id', '=', id).executeTakeFirst();
  if (row === undefined) throw noDeadLetter(id);
  await forget(context, row, 'deadLetter.discarded');
  return view(row);
}

async function forget(context: Context, row: Named, action: string): Promise<void> {
  await context.store.write(async (work) => {
    await work.db.deleteFrom('dead_letters').where('id', '=', row.id).execute();
    const detail = { queue: row.queue, machineId: row.machine_id, reason: row.reason };
    await writeAudit(context, work, { actor: 'admin', action, target: row.id, detail });
  });
}

function named(db: Db) {
  return db
    .selectFrom('dead_letters')
    .leftJoin('machines', 'machines.id', 'dead_letters.machine_id')
    .selectAll('dead_letters')
    .select('machines.name as machine_name');
}

function noDeadLetter(id: string): Refusal {
  return new Refusal('not_found', `no dead letter ${id}`, { cure: 'torcello deadletter list' });
}

function view(row: Named): DeadLetterView {
  return {
    id: row.id,
    source: row.queue,
    routingKey: row.routing_key,
    ...(row.machine_id === null
      ? {}
      : { machine: { id: row.machine_id, ...(row.machine_name === null ? {} : { name: row.machine_name }) } }),
    ...(row.message_id === null ? {} : { messageId: row.message_id }),
    ...(row.content_type === null ? {} : { contentType: row.content_type }),
    reason: row.reason,
    attempts: row.attempts,
    at: isoTime(row.at),
    bytes: row.bytes,
    isWhole: row.is_whole === 1,
  };
}
