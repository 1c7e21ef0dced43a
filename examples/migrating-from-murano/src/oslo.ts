import { notifier, rpcClient, rpcServer } from '@torcello/messaging';
import type { Answer, Pattern, Plan } from './pattern.js';
import { runAlone } from './run-alone.js';

/** What oslo.messaging offers: a cast to the machine, notifications on the way, and a cast back with the answer. */
export const oslo: Pattern = {
  name: 'cast, notification, cast back',

  conductor: async (transport, onAnswer) => {
    const results = rpcServer(transport, { topic: 'conductor', server: 'conductor-1' }, [
      { methods: { answer: (args) => (onAnswer(args as unknown as Answer), null) } },
    ]);
    await results.start();
    const machine = rpcClient(transport, { topic: 'agent', server: 'machine-1' });
    return { send: (plan) => machine.cast('execute', { ...plan }), stop: () => results.stop() };
  },

  agent: async (transport, work) => {
    const conductor = rpcClient(transport, { topic: 'conductor' });
    const reports = notifier(transport, { publisherId: 'agent.machine-1', topics: ['reports'] });
    const execute = async (args: object): Promise<null> => {
      const plan = args as Plan;
      await reports.info('plan.started', { planId: plan.id });
      const answer: Answer = { planId: plan.id, text: await work(plan) };
      await conductor.cast('answer', { ...answer });
      return null;
    };
    const server = rpcServer(transport, { topic: 'agent', server: 'machine-1' }, [{ methods: { execute } }]);
    await server.start();
    return { stop: () => server.stop() };
  },
};

await runAlone(import.meta, oslo);
