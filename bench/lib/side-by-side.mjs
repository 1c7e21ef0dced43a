import { readFileSync } from 'node:fs';

/**
 * Runs contenders in turn, round after round, so that whatever else the machine does hits all of them. Each contender is
 * `{ name, run, pid? }`: `run()` does the work once and answers how many messages that was; `pid` names a server whose
 * processor time is counted beside that of this process.
 *
 * Prints, against the first contender, the median ratio of the rates with its lowest and highest round, and the
 * processor time per message.
 */
export async function sideBySide({ title, contenders, rounds = 5 }) {
  const results = contenders.map(() => []);
  for (const contender of contenders) await contender.run();
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, contender] of contenders.entries()) results[index].push(await measure(contender));
  }
  console.log(`\n${title} (${rounds} rounds, in turn; ratio to ${contenders[0].name} of the same round)`);
  for (const [index, contender] of contenders.entries()) {
    const ratios = results[index].map((result, round) => result.rate / results[0][round].rate);
    const row = {
      rate: `${median(results[index].map((result) => result.rate)).toFixed(0)}/s`,
      ratio: `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)})`,
      client: `${median(results[index].map((result) => result.clientUs)).toFixed(1)} µs`,
      server:
        contender.pid === undefined ? '–' : `${median(results[index].map((result) => result.serverUs)).toFixed(1)} µs`,
    };
    console.log(
      `  ${contender.name.padEnd(28)} ${row.rate.padStart(10)}  ratio ${row.ratio.padEnd(20)} CPU a message: client ${row.client}, server ${row.server}`,
    );
  }
}

async function measure({ run, pid }) {
  const [cpu, server, start] = [process.cpuUsage(), serverCpuUs(pid), performance.now()];
  const messages = await run();
  const seconds = (performance.now() - start) / 1000;
  const used = process.cpuUsage(cpu);
  return {
    rate: messages / seconds,
    clientUs: (used.user + used.system) / messages,
    serverUs: (serverCpuUs(pid) - server) / messages,
  };
}

/** Processor time of another process so far, in microseconds: fields 14 and 15 of /proc/PID/stat, in ticks of 10 ms. */
function serverCpuUs(pid) {
  if (pid === undefined) return 0;
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
