/** A difference that is meant. */
export interface Deviation {
  /** The scenarios that show it: a whole name, or the beginning of one before a `*`. */
  readonly scenarios: string;
  /** As it stands in docs/protocols/amqp-0-9-1.md. */
  readonly why: string;
}

const keptCopies =
  "A dead letter that gets a routing key of its queue's own keeps the header `CC`, and goes to no copies, as on RabbitMQ since 3.13. RabbitMQ 3.10 takes the header away.";

/** Every difference from the RabbitMQ of the tests; what is not here must be equal. */
export const deviations: {
  /** Headers that a newer RabbitMQ writes and the one of the tests does not: not compared. */
  readonly headersLeftOut: readonly string[];
  readonly list: readonly Deviation[];
} = {
  headersLeftOut: ['x-last-death-'],
  list: [
    {
      scenarios: 'dead letter: a chain of five queues',
      why: 'The deaths of a message (`x-death`) are listed newest first, and what was rejected since counts when a circle is looked for, as on RabbitMQ since 3.13. RabbitMQ 3.10 turns the earlier deaths round with each new one.',
    },
    {
      scenarios: 'dead letter: a rejection opens the circle again',
      why: 'The deaths of a message (`x-death`) are listed newest first, and what was rejected since counts when a circle is looked for, as on RabbitMQ since 3.13. RabbitMQ 3.10 turns the earlier deaths round with each new one.',
    },
    ...['rejected', 'nacked', 'expired', 'maxlen'].map((reason) => ({
      scenarios: `dead letter: ${reason}, with CC`,
      why: keptCopies,
    })),
    ...['CC', 'CC and BCC'].map((copies) => ({
      scenarios: `dead letter with ${copies} keeps a new key*`,
      why: keptCopies,
    })),
    {
      scenarios: 'unknown exchange type*',
      why: 'An exchange type that nobody knows is refused with 406, and the channel ends, as on RabbitMQ 4.3. RabbitMQ 3.10 ends the connection with 503.',
    },
    {
      scenarios: 'permission: passive declare without any right',
      why: '`queue.declare` and `exchange.declare` with `passive` need some right on the name. RabbitMQ tells every user what exists.',
    },
    {
      scenarios: 'single active consumer: the next takes over from one with a delivery out',
      why: 'A single active consumer that is cancelled while a delivery is out: the next one receives at once. RabbitMQ 3.10 waits for the next publish, at which the queue process fails and every consumer is cancelled.',
    },
  ],
};
