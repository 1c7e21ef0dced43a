import type { ServerResponse } from 'node:http';
import { Background } from '@torcello/platform';
import type { Clock, Logger, Timer } from '@torcello/platform';
import type { Db } from '../database/store.js';
import type { Notices } from '../notices.js';

export interface OutputStreamOptions {
  readonly db: Db;
  readonly notices: Notices;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly deploymentId: string;
  /** Name of a machine. */
  readonly machine: string | undefined;
  readonly step: string | undefined;
  readonly response: ServerResponse;
  /** The last piece that the client has; 0 for none. */
  readonly lastSequence: number;
}

interface Piece {
  readonly plan_id: string;
  readonly machine_name: string;
  readonly stage: string;
  readonly step: string;
  readonly start: number;
  readonly body: Uint8Array;
  readonly sequence: number;
}

const keepAliveMs = 15_000;
const piecesPerRead = 100;

/**
 * The output of a deployment as server-sent events, live. Each `chunk` carries its byte offset and, as id, the place
 * where a client that was cut off goes on: no byte is left out and none is told twice. Pieces that came out of order wait
 * for those before them. `data` holds the exact bytes (Base64); `text` is for display, and a character that two pieces
 * share shows as a replacement there.
 */
export class OutputStream {
  readonly #options: OutputStreamOptions;
  readonly #background: Background;
  /** How far each output was told, in bytes, by plan and step. */
  readonly #told = new Map<string, number>();
  readonly #early = new Map<string, Piece[]>();
  readonly #unlisten: () => void;
  #sequence = 0;
  #isReading = false;
  #isWanted = false;
  #isOver = false;
  #timer: Timer | undefined;

  constructor(options: OutputStreamOptions) {
    this.#options = options;
    this.#background = new Background((what, error) => options.logger.error('a watch failed', { what, error }));
    this.#unlisten = options.notices.listen((notice) => {
      const isOurs = 'deploymentId' in notice && notice.deploymentId === options.deploymentId;
      if (isOurs && (notice.type === 'output' || notice.type === 'history')) this.#wake();
    });
    options.response.on('close', () => this.end());
  }

  open(): void {
    this.#options.response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    this.#keepAlive();
    this.#wake();
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#unlisten();
    this.#timer?.cancel();
    this.#options.response.end();
  }

  #wake(): void {
    this.#isWanted = true;
    if (this.#isReading || this.#isOver) return;
    this.#isReading = true;
    this.#background.run('output', async () => {
      try {
        while (this.#isWanted && !this.#isOver) {
          this.#isWanted = false;
          await this.#read();
        }
      } finally {
        this.#isReading = false;
      }
    });
  }

  async #read(): Promise<void> {
    const isFinished = await this.#isFinished();
    for (;;) {
      const pieces = await this.#pieces();
      for (const piece of pieces) this.#take(piece);
      await this.#drained();
      if (pieces.length < piecesPerRead || this.#isOver) break;
    }
    if (!isFinished || this.#isOver) return;
    this.#write('finished', {}, this.#sequence);
    this.end();
  }

  /** A slow reader is waited for: an output may be larger than what may wait for it in memory. */
  async #drained(): Promise<void> {
    const { response } = this.#options;
    if (!response.writableNeedDrain || this.#isOver) return;
    await new Promise<void>((resolve) => {
      response.once('drain', resolve).once('close', resolve);
    });
  }

  async #pieces(): Promise<readonly Piece[]> {
    const { db, deploymentId, machine, step } = this.#options;
    return db
      .selectFrom('output_chunks')
      .innerJoin('plans', 'plans.plan_id', 'output_chunks.plan_id')
      .select(['plans.plan_id', 'plans.machine_name', 'plans.stage', 'output_chunks.step', 'start', 'body'])
      .select('output_chunks.sequence as sequence')
      .where('plans.deployment_id', '=', deploymentId)
      .where('output_chunks.sequence', '>', this.#sequence)
      .$if(machine !== undefined, (query) => query.where('plans.machine_name', '=', machine ?? ''))
      .$if(step !== undefined, (query) => query.where('output_chunks.step', '=', step ?? ''))
      .orderBy('output_chunks.sequence')
      .limit(piecesPerRead)
      .execute();
  }

  async #isFinished(): Promise<boolean> {
    const { db, deploymentId } = this.#options;
    const row = await db
      .selectFrom('deployments')
      .select('finished_at')
      .where('id', '=', deploymentId)
      .executeTakeFirst();
    return row === undefined || row.finished_at !== null;
  }

  /** What the client has already only moves the offsets. */
  #take(piece: Piece): void {
    this.#sequence = piece.sequence;
    const key = `${piece.plan_id} ${piece.step}`;
    const waiting = [...(this.#early.get(key) ?? []), piece].toSorted((a, b) => a.start - b.start);
    for (let next = waiting[0]; next !== undefined && next.start <= (this.#told.get(key) ?? 0); next = waiting[0]) {
      waiting.shift();
      this.#tell(key, next, piece.sequence);
    }
    this.#early.set(key, waiting);
  }

  #tell(key: string, piece: Piece, sequence: number): void {
    const at = this.#told.get(key) ?? 0;
    const bytes = piece.body.subarray(at - piece.start);
    if (bytes.length === 0) return;
    this.#told.set(key, at + bytes.length);
    if (sequence <= this.#options.lastSequence) return;
    const { plan_id: planId, machine_name: machine, stage, step } = piece;
    const data = Buffer.from(bytes).toString('base64');
    const text = new TextDecoder().decode(bytes);
    this.#write('chunk', { planId, machine, stage, step, offset: at, bytes: bytes.length, text, data }, sequence);
  }

  #write(name: string, data: unknown, id: number): void {
    const { response } = this.#options;
    if (this.#isOver) return;
    response.write(`event: ${name}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  #keepAlive(): void {
    if (this.#isOver) return;
    this.#timer = this.#options.clock.after(keepAliveMs, () => {
      this.#options.response.write(': alive\n\n');
      this.#keepAlive();
    });
  }
}
