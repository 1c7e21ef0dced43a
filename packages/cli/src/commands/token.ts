import { safeText } from '../output/text.js';
import { apiCommand, noun, type CommandRun, type CommonOptions } from './command-kit.js';

interface CreateOptions extends CommonOptions {
  readonly tenant: string;
  readonly user: string;
  readonly admin?: true;
}

/** `torcello token`: tokens of the API's own, for the users of tenants. */
export function tokenCommand(run: CommandRun): ReturnType<typeof noun> {
  return noun('token', "tokens of the API's own, for the users of tenants", [
    apiCommand<CreateOptions>(
      run,
      'create',
      'make one; this shows it, and nothing will again',
      async ({ client, printer, options }) => {
        const { tenant, user, admin: isAdmin } = options;
        const made = await client.createToken({ tenant, user, admin: isAdmin === true });
        printer.answer(made, () => [
          `Token ${made.id} of ${safeText(user)} in the tenant ${safeText(tenant)}, shown this once:`,
          made.token,
          `Use it as TORCELLO_TOKEN; end it with: torcello token revoke ${made.id}`,
        ]);
      },
    )
      .requiredOption('--tenant <name>', 'what the token opens')
      .requiredOption('--user <name>', 'who it is for, as environments and sessions will say')
      .option('--admin', "may do what the data folder's own token may, in every tenant"),
    apiCommand(run, 'list', 'list them, without the tokens themselves', async ({ client, printer }) => {
      const tokens = await client.tokens();
      printer.table(tokens, {
        columns: [{ title: 'ID' }, { title: 'TENANT' }, { title: 'USER' }, { title: 'ADMIN' }, { title: 'CREATED' }],
        rows: tokens.map(({ id, tenant, user, admin, createdAt }) => [
          id,
          tenant,
          user,
          admin ? 'yes' : 'no',
          createdAt,
        ]),
        empty: 'No tokens but the one of the data folder',
      });
    }),
    apiCommand(run, 'revoke <id>', 'end one, at once', async ({ client, printer }, id = '') => {
      await client.revokeToken(id);
      printer.answer({ revoked: id }, () => [safeText(`Revoked the token ${id}`)]);
    }),
  ]);
}
