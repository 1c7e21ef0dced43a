/** Runs `one` so many times, so many of them at once; answers how many that was. */
export async function many(count, outstanding, one) {
  const worker = async () => {
    for (let at = 0; at < count / outstanding; at += 1) await one();
  };
  await Promise.all(Array.from({ length: outstanding }, worker));
  return { messages: count };
}
