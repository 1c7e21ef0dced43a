import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** What oslo.messaging answered to a command. */
export interface OsloAnswer {
  readonly result?: unknown;
  /** Class of what was raised, and those it is made of. */
  readonly error?: string;
  readonly bases?: readonly string[];
  readonly exc_type?: string | null;
  readonly text?: string;
}

/** A Python process with oslo.messaging that does what it is told. */
export class Oslo implements AsyncDisposable {
  readonly #url: string;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: OsloAnswer) => void>();
  #next = 0;
  #errors = '';

  /** @param url - of the broker, for oslo.messaging. */
  constructor(url: string) {
    this.#url = url;
    const script = fileURLToPath(new URL('../../python/oslo_points.py', import.meta.url));
    const child = spawn('/usr/bin/python3', [script], { stdio: ['pipe', 'pipe', 'pipe'] });
    child.stderr.on('data', (chunk: Buffer) => (this.#errors = (this.#errors + chunk.toString()).slice(-4_000)));
    createInterface(child.stdout).on('line', (line) => {
      const { id, ...answer } = JSON.parse(line) as OsloAnswer & { readonly id: number };
      this.#waiting.get(id)?.(answer);
      this.#waiting.delete(id);
    });
    child.on('exit', () => {
      for (const answer of this.#waiting.values()) answer({ error: 'Exited', text: this.#errors });
    });
    this.#child = child;
  }

  /** What became of a command, also when it failed. */
  ask(op: string, command: Readonly<Record<string, unknown>>): Promise<OsloAnswer> {
    const id = this.#next;
    this.#next += 1;
    const answer = new Promise<OsloAnswer>((resolve) => this.#waiting.set(id, resolve));
    this.#child.stdin?.write(`${JSON.stringify({ url: this.#url, ...command, op, id })}\n`);
    return answer;
  }

  /** The result of a command. @throws when it failed. */
  async tell(op: string, command: Readonly<Record<string, unknown>>): Promise<unknown> {
    const answer = await this.ask(op, command);
    if (answer.error !== undefined) throw new Error(`${op}: ${answer.error}: ${answer.text}\n${this.#errors}`);
    return answer.result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await gone;
  }
}
