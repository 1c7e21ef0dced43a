/** What to do about a refusal, by AMQP's reply code (RabbitMQ's use of it). */
const cures: Readonly<Record<number, string>> = {
  403: 'give the user all rights there for the move: rabbitmqctl set_permissions -p VHOST USER ".*" ".*" ".*"',
  404: 'it went away, or lies on a node that is down: start that node',
  405: 'a connection there holds it for itself; end that one',
  406: 'it is there already and differs: delete it there, or name a virtual host that is empty',
};

/** The target refused something, or went away. The message is one line for a person and names the cure where there is one. */
export class TargetError extends Error {
  /** Reply code of AMQP; 0 when the target said none. */
  readonly code: number;
  readonly #text: string;

  constructor(code: number, text: string, cure?: string) {
    super(`the target says: ${text}${code === 0 ? '' : ` (${code})`}${cure === undefined ? '' : `; ${cure}`}`);
    this.name = 'TargetError';
    this.code = code;
    this.#text = text;
  }

  /** The same, of a thing that was to be declared or used, with the usual cure. */
  about(what: string, cure: string | undefined = cures[this.code]): TargetError {
    return new TargetError(this.code, `${what}: ${this.#text}`, cure);
  }
}

/** A move that would not do what is meant. Nothing was moved by it. */
export class MoveRefused extends Error {}

/** A move was cut short, and may be finished by another one. */
export class MoveUnfinished extends Error {
  /** What happened, without what to do. */
  readonly reason: string;
  /** It may be over soon. */
  readonly isPassing: boolean;

  constructor(reason: string, about: { readonly left: number; readonly isPassing: boolean }) {
    super(`${reason}; nothing is lost, ${about.left} messages are still here; run the same command again`);
    this.name = 'MoveUnfinished';
    this.reason = reason;
    this.isPassing = about.isPassing;
  }
}
