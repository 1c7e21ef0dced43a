/** A promise that is kept when `done` was called so often. */
export function createJobs(count) {
  let left = count;
  let finish;
  const all = new Promise((resolve) => (finish = resolve));
  const done = () => {
    left -= 1;
    if (left === 0) finish();
  };
  return { all, done };
}
