import type { Command } from 'commander';
import type { WaitingPlans, WhyAnswer, WhyView } from '../client/views.js';
import { safeText } from '../output/text.js';
import { causeLine, whyText } from '../output/why-text.js';
import { apiCommand, type CommandRun } from './command-kit.js';

/** `torcello why`: what something waits for, and the command that changes it. */
export function whyCommand(run: CommandRun): Command {
  return apiCommand(
    run,
    'why <id>',
    'say what a deployment, plan, machine, mailbox, environment or message waits for, and what changes it',
    async ({ client, printer, context }, id = '') => {
      const answer = await client.why(id);
      const causes = causesOf(answer);
      const nowMs = context.clock.now();
      printer.answer(answer, () => [
        headLine(answer, id),
        ...(causes.length === 0 ? ['It waits for nothing.'] : causes.flatMap((why) => whyText(why, nowMs))),
        ...more(answer).map((plans) => causeLine(plans, nowMs)),
      ]);
    },
  );
}

function causesOf({ why }: WhyAnswer): readonly WhyView[] {
  if (why === undefined || why === null) return [];
  return isList(why) ? why : [why];
}

/** What else plans wait for: the cause of the whole, where it is that of one plan alone, is told already. */
function more(answer: WhyAnswer): readonly WaitingPlans[] {
  const told = new Set(causesOf(answer).map(({ code }) => code));
  return (answer.plans ?? []).filter(({ machines, why }) => machines > 1 || !told.has(why.code));
}

function isList(why: WhyView | readonly WhyView[]): why is readonly WhyView[] {
  return Array.isArray(why);
}

function headLine({ kind, name, state, id }: WhyAnswer, asked: string): string {
  const what = `${kind ?? 'this'} ${name ?? id ?? asked}`;
  return safeText(state === undefined || state === null ? what : `${what}: ${state}`);
}
