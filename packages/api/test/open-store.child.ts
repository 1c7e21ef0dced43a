/** Opens the store of a folder, says in one line of JSON what came of it, and keeps it open until its input ends. */
import { sql } from 'kysely';
import { openStore } from '../src/database/store.js';

try {
  const store = await openStore(process.argv[2] ?? '');
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(store.db);
  process.stdout.write(`${JSON.stringify({ opened: rows.map((row) => row.name) })}\n`);
  process.stdin.resume().once('end', () => void store.close());
} catch (error) {
  process.stdout.write(`${JSON.stringify({ refused: (error as { code?: string }).code ?? String(error) })}\n`);
}
