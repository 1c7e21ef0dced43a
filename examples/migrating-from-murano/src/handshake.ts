import { rpcClient, rpcServer } from '@torcello/messaging';
import type { Answer, Pattern, Plan } from './pattern.js';
import { runAlone } from './run-alone.js';

const callTimeoutMs = 2_000;

/** The agent says that it runs, and the conductor calls it with what it has for it. The conductor must remember that. */
export const handshake: Pattern = {
  name: 'handshake, then call',

  conductor: async (transport, onAnswer) => {
    const waiting: Plan[] = [];
    const machine = rpcClient(transport, { topic: 'agent', server: 'machine-1' });
    let isThere = false;
    let announced = 0;
    const give = async (): Promise<void> => {
      for (let [plan] = waiting; isThere && plan !== undefined; [plan] = waiting) {
        const seen = announced;
        try {
          const answer = await machine.call<Answer>('execute', { ...plan }, { timeoutMs: callTimeoutMs });
          waiting.shift();
          onAnswer(answer);
        } catch {
          // Gone in the middle, or silent. The plan is kept for an agent that says that it runs, perhaps did so meanwhile.
          isThere = announced !== seen;
        }
      }
    };
    let giving: Promise<void> = Promise.resolve();
    const next = (): void => void (giving = giving.then(give));
    const announce = (): null => {
      announced += 1;
      isThere = true;
      next();
      return null;
    };
    const server = rpcServer(transport, { topic: 'conductor', server: 'conductor-1' }, [
      { methods: { running: () => announce() } },
    ]);
    await server.start();
    return {
      send: (plan) => {
        waiting.push(plan);
        next();
        return Promise.resolve();
      },
      stop: () => server.stop(),
    };
  },

  agent: async (transport, work) => {
    const execute = async (args: object): Promise<Answer> => {
      const plan = args as Plan;
      return { planId: plan.id, text: await work(plan) };
    };
    const server = rpcServer(transport, { topic: 'agent', server: 'machine-1' }, [{ methods: { execute } }]);
    await server.start();
    await rpcClient(transport, { topic: 'conductor' }).cast('running', { machine: 'machine-1' });
    return { stop: () => server.stop() };
  },
};

await runAlone(import.meta, handshake);
