import { Command, Option } from 'commander'
import { seconds, wholeNumber } from './arguments.ts'
import type { Place, Work } from './study-actions.ts'

/** Where studies are kept unless said otherwise. */
export const defaultPlace = '.fallline/studies'

/** Samplers and storages are loaded by those who use them, so that every other command starts without. */
const actions = () => import('./study-actions.ts')

/** The command `fallline study`. `finish` receives the exit code. */
export function studyCommand(finish: (code: number) => void): Command {
  const command = new Command('study').description(
    'tune anything: what is tried is kept, and may be tried by many at once',
  )
  const placed = (name: string, description: string) =>
    command
      .command(name)
      .description(description)
      .option('--study <place>', 'the folder of studies, or the URL of a PostgreSQL server', defaultPlace)
      .option('--name <name>', 'which of the studies there', 'study')
  const ofModule = (name: string, description: string) =>
    placed(name, description).argument('<module>', 'a TypeScript or JavaScript module that exports space and objective')
  const working = (name: string, description: string) =>
    ofModule(name, description)
      .option('-t, --trials <number>', 'end when so many trials of the study have a result', wholeNumber(1))
      .option('--seconds <number>', 'begin no trial after so many seconds', seconds)
      .option('-w, --workers <number>', 'trials that run at the same time', wholeNumber(1), 1)
      .addOption(
        new Option(
          '--as <kind>',
          'what each runs in; a thread starts faster, a process may crash without harm to others',
        )
          .choices(['process', 'thread'])
          .default('process'),
      )
      .option('--patience <seconds>', 'after so long without a sign of life others take a trial over', seconds, 60)
  ofModule('create', 'make a study').action(async (module: string, place: Place) =>
    (await actions()).create(module, place),
  )
  ofModule('ask', 'take up a trial, and print it as a line of JSON with its lease')
    .option('--patience <seconds>', 'after so long without an outcome others take it over', seconds, 86_400)
    .action(async (module: string, place: Place & { patience: number }) => (await actions()).ask(module, place))
  placed(
    'tell',
    'tell outcomes: lines of JSON { lease, values, constraints?, cost? }, { lease, pruned: true } or { lease, error }',
  ).action(async (place: Place) => (await actions()).tell(place))
  working('optimize', 'run the objective until a budget is spent; makes the study when it is not there').action(
    async (module: string, work: Work) => finish(await (await actions()).optimize(module, work)),
  )
  working(
    'worker',
    'help with a study that is there, on this machine or another, until its budget is spent or it is stopped',
  ).action(async (module: string, work: Work) => finish(await (await actions()).help(module, work)))
  command
    .command('import')
    .description('take the studies of Optuna, each with its name')
    .argument('<file>', 'an SQLite database or a journal of Optuna')
    .option('--study <place>', 'the folder of studies, or the URL of a PostgreSQL server', defaultPlace)
    .action(async (file: string, place: Pick<Place, 'study'>) => (await actions()).importFile(file, place))
  placed('show', 'say how a study stands').action(async (place: Place) => (await actions()).show(place))
  placed('export', 'print all trials')
    .addOption(
      new Option('--format <format>', 'html is the page of `fallline serve`')
        .choices(['csv', 'json', 'html'])
        .default('csv'),
    )
    .action(async ({ format, ...place }: Place & { format: 'csv' | 'json' | 'html' }) =>
      (await actions()).exportAs(format, place),
    )
  return command
}
