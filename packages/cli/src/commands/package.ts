import path from 'node:path';
import type { Command } from 'commander';
import type { PackageView } from '../client/views.js';
import { packageArchive } from '../files/package-archive.js';
import { formatBytes } from '../output/text.js';
import { apiCommand, noun, type CommandRun } from './command-kit.js';

/** `torcello package`: the applications that can be deployed. */
export function packageCommand(run: CommandRun): Command {
  return noun('package', 'applications that can be deployed', [
    apiCommand(
      run,
      'import <source>',
      'import a package: a folder with manifest.yaml, or its zip',
      async (world, source = '') => {
        const archive = await packageArchive(path.resolve(world.context.cwd, source));
        const imported = await world.client.importPackage(archive);
        world.printer.answer(imported, () => [
          `Imported ${fullName(imported)} (${formatBytes(imported.size)})`,
          `Use it: torcello environment create NAME --app ${imported.fully_qualified_name}`,
        ]);
      },
    ),
    apiCommand(run, 'list', 'list the packages', async ({ client, printer }) => {
      const packages = await client.packages();
      printer.table(packages, {
        columns: [
          { title: 'PACKAGE' },
          { title: 'VERSION' },
          { title: 'NAME' },
          { title: 'SIZE', align: 'right' },
          { title: 'ID' },
        ],
        rows: packages.map((item) => [
          item.fully_qualified_name,
          item.version,
          item.name,
          formatBytes(item.size),
          item.id,
        ]),
        empty: 'No package yet. Try: torcello package import examples/hello-web',
      });
    }),
    apiCommand(
      run,
      'show <package>',
      'show one package, by FQN[@VERSION] or id',
      async ({ client, printer }, name = '') => {
        const found = await client.packageNamed(name);
        printer.answer(found, () => describe(found));
      },
    ),
    apiCommand(
      run,
      'delete <package>',
      'delete one package, by FQN[@VERSION] or id',
      async ({ client, printer }, name = '') => {
        const found = await client.packageNamed(name);
        await client.deletePackage(found.id);
        printer.answer({ deleted: found.id }, () => [`Deleted ${fullName(found)}`]);
      },
    ),
  ]);
}

function fullName(item: PackageView): string {
  return `${item.fully_qualified_name}@${item.version}`;
}

function describe(item: PackageView): readonly string[] {
  return [
    `${fullName(item)} ${item.name}`,
    ...(item.description === '' ? [] : [item.description]),
    `id ${item.id}, ${item.type}, ${formatBytes(item.size)}, imported ${item.created}`,
    `SHA-256 ${item.digest}`,
  ];
}
