/**
 * Runs ours and the peers in turn, round after round, and tells how far each of ours is ahead: the median ratio of the rates with
 * its lowest and highest round (above 1: ours is faster), and of the processor time a message (below 1: ours needs less).
 *
 * A contender is `{ name, run }`; `run()` does the work once and answers `{ messages, cpuUs?, seconds? }`; what it does not
 * measure itself is measured here, in this process.
 */
export async function compare({ title, ours, peers, rounds, json }) {
  const all = [...ours, ...peers];
  const results = new Map(all.map((contender) => [contender, []]));
  for (const { run } of all) await run();
  for (let round = 0; round < rounds; round += 1) {
    for (const contender of all) results.get(contender).push(await measure(contender));
  }
  for (const contender of ours) {
    const mine = results.get(contender);
    if (!json)
      console.log(`\n${title}: ${contender.name} ${rateOf(mine)}/s, ${cpuOf(mine)} µs a message (${rounds} rounds)`);
    for (const peer of peers) {
      const line = { case: `${title}, ${contender.name}`, peer: peer.name, ...ratioOf(mine, results.get(peer)) };
      console.log(json ? JSON.stringify(line) : inWords(line, results.get(peer)));
    }
  }
}

function ratioOf(mine, theirs) {
  const ratios = mine.map((result, round) => result.rate / theirs[round].rate);
  const cpuRatios = mine.map((result, round) => result.cpuUs / theirs[round].cpuUs);
  return {
    ratio: rounded(median(ratios)),
    min: rounded(Math.min(...ratios)),
    max: rounded(Math.max(...ratios)),
    cpuRatio: rounded(median(cpuRatios)),
  };
}

function inWords({ ratio, min, max, cpuRatio, peer }, theirs) {
  const rate = `${ratio} times ${peer} (${min} to ${max})`;
  return `  ${rate}; CPU ${cpuRatio} of ${peer}'s (${rateOf(theirs)}/s, ${cpuOf(theirs)} µs)`;
}

async function measure({ run }) {
  const [cpu, start] = [process.cpuUsage(), performance.now()];
  const { messages, cpuUs, seconds = (performance.now() - start) / 1000 } = await run();
  const used = process.cpuUsage(cpu);
  return { rate: messages / seconds, cpuUs: (cpuUs ?? used.user + used.system) / messages };
}

const rateOf = (results) => median(results.map(({ rate }) => rate)).toFixed(0);
const cpuOf = (results) => median(results.map(({ cpuUs }) => cpuUs)).toFixed(1);
const rounded = (value) => Math.round(value * 100) / 100;

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
