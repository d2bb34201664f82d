import { writeFile } from 'node:fs/promises'
import { performance } from 'node:perf_hooks'
import { Command, InvalidArgumentError, Option } from 'commander'
import { findOptimizer, type OptimizerFactory, registry } from 'fallline'
import colors from 'picocolors'
import { aims, type Results } from './aims.ts'
import { describeMachine, machineLines } from './machine.ts'
import { messageOf } from './measure.ts'
import { report } from './report.ts'
import { plainSamplers } from './search/bookkeeping.ts'
import { measureChoose } from './sections/choose.ts'
import { measureCold } from './sections/cold.ts'
import { measureDecay } from './sections/decay.ts'
import { measureJax } from './sections/jax.ts'
import { measureLibrary } from './sections/library.ts'
import { measureMatrices } from './sections/matrices.ts'
import { measurePeers } from './sections/peers.ts'
import { measureQuantized, measureQuantizedLosses } from './sections/quantized.ts'
import { measureSearch, type SearchEffort, type SearchPart, searchParts } from './sections/search.ts'
import { measureSizes } from './sections/size.ts'
import { measureSolvers } from './sections/solvers.ts'
import { effortFor, guessSeconds, measureStep, type StepEffort, type StepResult } from './sections/steps.ts'
import { measureTensorflow } from './sections/tensorflow.ts'
import { measureWebgpu } from './sections/webgpu.ts'
import { sizes } from './sizes.ts'
import { type SolverPart, solverParts } from './solvers/problems.ts'
import { principal } from './subjects.ts'

const sectionNames = ['steps', 'cold', 'size', 'library', 'decay', 'matrices', 'quantized', 'choose'] as const

interface Options {
  only?: OptimizerFactory[]
  sections: readonly string[]
  peers?: boolean
  tfjs?: boolean
  jax?: boolean
  quantizedLosses?: boolean
  webgpu?: boolean
  search?: readonly SearchPart[]
  solvers?: readonly SolverPart[]
  samplers?: readonly string[]
  trials?: readonly number[]
  seeds?: number
  side?: number
  python?: string
  json?: string
}

function parseNames(text: string, before: OptimizerFactory[] = []): OptimizerFactory[] {
  try {
    return [...before, ...text.split(',').map((name) => findOptimizer(name.trim()))]
  } catch (error) {
    throw new InvalidArgumentError(messageOf(error))
  }
}

function parseSections(text: string): readonly string[] {
  return text === 'none' ? [] : parseSome(text, sectionNames)
}

function parseWhole(text: string): number {
  const whole = Number(text)
  if (!Number.isInteger(whole) || whole < 1) throw new InvalidArgumentError(`"${text}" is no whole number from 1 on`)
  return whole
}

/** Names out of a list, separated by commas. */
function parseSome<Name extends string>(text: string, all: readonly Name[]): readonly Name[] {
  const names = text.split(',').map((name) => name.trim())
  const unknown = names.find((name) => !(all as readonly string[]).includes(name))
  if (unknown !== undefined) throw new InvalidArgumentError(`"${unknown}" is none of ${all.join(', ')}`)
  return names as Name[]
}

/** Says what is going on: in place on a terminal, a line each elsewhere. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${colors.dim(text)}`)
  else process.stderr.write(`${text}\n`)
}

function endProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
}

/** Seconds from the start after which no step is begun that takes long by itself. */
const deadline = 285

async function measureSteps(factories: readonly OptimizerFactory[], elapsed: () => number): Promise<StepResult[]> {
  const small = sizes[0]!
  const results = new Map<string, StepResult>()
  const jobs = factories.flatMap((factory) => sizes.map((size) => ({ factory, size })))
  const later: typeof jobs = []
  let done = 0
  const guessFor = ({ factory, size }: (typeof jobs)[number]): number | undefined => {
    const known = results.get(`${factory.definition.name} ${small.title}`)
    const seconds = size === small ? undefined : known?.seconds.fallline?.median
    return seconds && guessSeconds(known!.kind, seconds, small, size)
  }
  const run = async ({ factory, size }: (typeof jobs)[number], effort: StepEffort): Promise<void> => {
    const { name } = factory.definition
    progress(`${name} at ${size.title} (${++done} of ${jobs.length})`)
    const key = `${name} ${size.title}`
    try {
      results.set(key, await measureStep(factory, size, effort))
    } catch (error) {
      const unknown = { kind: 'unknown', bytesPerParameter: Number.NaN, seconds: {}, ratios: {} }
      const failures = { step: messageOf(error) }
      results.set(key, { optimizer: name, size: size.title, parameters: size.parameters, ...unknown, failures })
    }
  }
  for (const job of jobs) {
    const effort = effortFor(job.size, guessFor(job))
    if (effort === 'once') later.push(job)
    else await run(job, effort)
  }
  // What takes long comes last, if there is time for it.
  for (const job of later) {
    const guess = guessFor(job)!
    await run(job, elapsed() + 1.5 * guess < deadline ? 'once' : { skipped: guess })
  }
  return jobs.map(({ factory, size }) => results.get(`${factory.definition.name} ${size.title}`)!)
}

/** Everything that went wrong, to end with an error. */
function countFailures({ steps, cold, peers, jax, library, webgpu, solvers }: Results): number {
  const stepFailures = (steps ?? []).reduce((sum, { failures }) => sum + Object.keys(failures).length, 0)
  const coldFailures = (cold ?? []).filter(({ error }) => error !== undefined).length
  const ownFailures = (peers?.results ?? []).filter(({ error }) => error?.startsWith('fallline:')).length
  const jaxFailures = (jax ?? []).filter(({ error }) => error !== undefined).length
  const libraryFailures = (library ?? []).filter(({ error }) => error !== undefined).length
  const webgpuFailures = (webgpu?.results ?? []).filter(({ error }) => error !== undefined).length
  const solverFailures = (solvers?.rows ?? []).filter((row) => row.library === 'fallline' && row.error !== undefined)
  return (
    solverFailures.length + webgpuFailures + libraryFailures + stepFailures + coldFailures + ownFailures + jaxFailures
  )
}

async function bench(given: Options, command: Command): Promise<void> {
  // Asked for alone, what runs in other libraries is measured alone.
  const alone =
    (given.jax || given.tfjs || given.quantizedLosses || given.webgpu || given.search || given.solvers) &&
    command.getOptionValueSource('sections') === 'default'
  const options = alone ? { ...given, sections: [] } : given
  const start = performance.now()
  const elapsed = () => (performance.now() - start) / 1000
  const machine = describeMachine()
  for (const line of machineLines(machine)) console.log(line)
  const factories = options.only ?? principal
  const results: Results = {}
  // Compilation and size first: they are small, and the processors are still cool.
  if (options.sections.includes('size')) results.sizes = await measureSizes()
  if (options.sections.includes('cold')) results.cold = await measureCold(factories, progress)
  if (options.sections.includes('steps')) results.steps = await measureSteps(factories, elapsed)
  if (options.sections.includes('library')) {
    results.library = await measureLibrary(options.only ?? registry, progress)
  }
  if (options.sections.includes('decay')) results.decay = await measureDecay(progress)
  if (options.sections.includes('quantized')) results.quantized = await measureQuantized(progress)
  if (options.quantizedLosses) results.quantizedLosses = await measureQuantizedLosses(progress)
  if (options.sections.includes('matrices')) {
    const peers = options.peers ? { python: options.python } : undefined
    results.matrices = await measureMatrices(
      peers,
      progress,
      options.only?.map(({ definition }) => definition.name),
      options.side,
    )
  }
  if (options.sections.includes('choose')) results.choose = measureChoose(progress)
  if (options.jax) results.jax = await measureJax(progress)
  const peersElsewhere = options.sections.every((name) => name === 'matrices') && options.sections.length > 0
  if (options.peers && !peersElsewhere && !options.search && !options.solvers)
    results.peers = await measurePeers(factories, options.python, progress)
  if (options.tfjs) results.tensorflow = await measureTensorflow(progress)
  if (options.webgpu) results.webgpu = await measureWebgpu(progress, options.side)
  if (options.search) {
    const effort: SearchEffort = {
      parts: options.search,
      ...(options.samplers && { samplers: options.samplers }),
      ...(options.trials && { counts: options.trials }),
      ...(options.seeds && { seeds: options.seeds }),
    }
    results.search = await measureSearch(effort, options.peers ? { python: options.python } : undefined, progress)
  }
  if (options.solvers) {
    results.solvers = await measureSolvers(
      options.solvers,
      options.peers ? { python: options.python } : undefined,
      progress,
    )
  }
  endProgress()
  console.log(report(results))
  console.log(colors.dim(`\n${elapsed().toFixed(0)} s`))
  if (options.json !== undefined) {
    const content = { machine, ...results, aims: aims(results) }
    await writeFile(options.json, `${JSON.stringify(content, undefined, 2)}\n`)
  }
  if (countFailures(results) > 0) process.exitCode = 1
}

await new Command('bench')
  .description('Measures optimizer steps beside copies, hand-written kernels and other libraries, and prints ratios.')
  .option('--only <names>', 'measure only these optimizers of the registry, separated by commas', parseNames)
  .addOption(
    new Option('--sections <names>', `which parts to run: ${sectionNames.join(', ')}, or none`)
      .argParser(parseSections)
      .default(sectionNames, 'all'),
  )
  .option('--peers', 'measure other libraries beside; the first time this installs about 6 GB of Python packages')
  .option(
    '--tfjs',
    'measure updates inside TensorFlow.js beside its own Adam; webgl in Chromium; alone, unless --sections says what else',
  )
  .option('--python <file>', 'a Python interpreter that has the peers already, instead of installing them')
  .option('--jax', 'measure whole training steps in jax-js; alone, unless --sections says what else')
  .option(
    '--quantized-losses',
    'train with state in float32, 8 and 4 bits on 20 seeds and compare the losses; alone, unless --sections says what else',
  )
  .option(
    '--webgpu',
    'measure steps on WebGPU beside a copy between its buffers; alone, unless --sections says what else',
  )
  .addOption(
    new Option(
      '--search [parts]',
      `measure samplers: the time of ask and tell in memory, in a folder and on a server, and regret (${searchParts.join(', ')}; all of them by default); with --peers beside Optuna; alone, unless --sections says what else`,
    )
      .preset(searchParts.join())
      .argParser((text) => parseSome(text, searchParts)),
  )
  .addOption(
    new Option(
      '--solvers [parts]',
      `measure solvers beside packages of npm (${solverParts.join(', ')}; all of them by default); with --peers beside SciPy; alone, unless --sections says what else`,
    )
      .preset(solverParts.join())
      .argParser((text) => parseSome(text, solverParts)),
  )
  .option('--samplers <names>', 'with --search, only these samplers', (text) =>
    parseSome(
      text,
      plainSamplers.map(([name]) => name),
    ),
  )
  .option('--trials <numbers>', 'with --search, only studies that have so many trials', (text) =>
    text.split(',').map(parseWhole),
  )
  .option('--seeds <number>', 'with --search, how many seeds regret is taken over; 20 by default', parseWhole)
  .option(
    '--side <number>',
    'the section matrices, and WebGPU, on squares of this side alone, to see that it runs',
    parseWhole,
  )
  .option('--json <file>', 'also write everything that was measured to a file')
  .action(bench)
  .parseAsync()
