/**
 * Preloaded into a program under test: ends it with kill -9 at a point that it announces on its diagnostics channel.
 * TORCELLO_TEST_CRASH is `{"channel","point","nth","marker"}`; of several processes only the first to make the marker
 * file dies.
 */
import { subscribe } from 'node:diagnostics_channel';
import { writeFileSync } from 'node:fs';

const { channel, point, nth, marker } = JSON.parse(process.env.TORCELLO_TEST_CRASH);
let seen = 0;
subscribe(channel, (message) => {
  if (message.point !== point) return;
  seen += 1;
  if (seen === nth && isFirst()) process.kill(process.pid, 'SIGKILL');
});

function isFirst() {
  try {
    writeFileSync(marker, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}
