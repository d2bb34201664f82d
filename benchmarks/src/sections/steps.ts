import { describe, type OptimizerFactory } from 'fallline'
import { copy } from '../kernels/copy.ts'
import { handWrittenAdamW } from '../kernels/hand-written.ts'
import { hasUnfused, unfused } from '../kernels/unfused.ts'
import { type Contender, contender, type Effort, type Measurement, measure, messageOf } from '../measure.ts'
import { collectGarbage } from '../memory.ts'
import type { Size } from '../sizes.ts'
import { type Summary, speedRatio } from '../statistics.ts'
import { falllineContender, type Setting, subject } from '../subjects.ts'
import { fill, gradientScale, parameterScale } from '../values.ts'

/** The step of one optimizer at one size. */
export interface StepResult {
  optimizer: string
  size: string
  parameters: number
  kind: string
  bytesPerParameter: number
  /** Seconds per step of every contender. */
  seconds: Record<string, Summary>
  /** Ratios of speeds, made within rounds. Above one: Fallline is faster than the copy, or faster with two threads. */
  ratios: Partial<Record<RatioName, Summary>>
  /** What could not be measured, and why. */
  failures: Record<string, string>
  note?: string
}

/** Ratios of the table. */
export type RatioName = 'copy' | 'unfused' | 'handWritten' | 'throw' | 'telemetry' | 'twoThreads'

const base = 'fallline'

/** Fallline's variants beside the bare step. */
const variants: Partial<Record<RatioName, Setting>> = {
  throw: { nonFinite: 'throw' },
  telemetry: { telemetry: true },
  twoThreads: { threads: 2 },
}

/** How a step is measured: normally, by a single step, or not at all because it would take so many seconds. */
export type StepEffort = Effort | 'once' | { skipped: number }

/** Steps that would take longer than this are taken once. */
const onceSeconds = 8

/** How a step is measured whose length may be guessed from a smaller size. */
export function effortFor(size: Size, guess: number | undefined): Effort | 'once' {
  if (guess !== undefined && guess > onceSeconds) return 'once'
  return { seconds: size.seconds, minimumRounds: 2 }
}

/** How long a step at a larger size would take: matrix products grow with the power 3/2 of the number of parameters. */
export function guessSeconds(kind: string, measured: number, from: Size, to: Size): number {
  const growth = to.parameters / from.parameters
  return measured * (kind === 'matrix' ? growth ** 1.5 : growth)
}

async function kernelContender(
  name: string,
  kernel: Promise<{ arrays: Record<string, Float32Array>; step(): void }>,
): Promise<Contender> {
  const { arrays, step } = await kernel
  fill(arrays.p!, parameterScale)
  fill(arrays.g!, gradientScale)
  return contender(name, step)
}

/** Measures the step of an optimizer beside everything it is compared with. */
export async function measureStep(factory: OptimizerFactory, size: Size, effort: StepEffort): Promise<StepResult> {
  const { name } = factory.definition
  const optimizer = subject(factory)
  const { kind, bytesPerParameter } = describe(optimizer)
  const result: StepResult = {
    optimizer: name,
    size: size.title,
    parameters: size.parameters,
    kind,
    bytesPerParameter,
    seconds: {},
    ratios: {},
    failures: {},
  }
  if (typeof effort === 'object' && 'skipped' in effort) {
    result.note = `not run for lack of time: a step takes about ${effort.skipped.toFixed(0)} s; --only ${name} runs it`
    return result
  }

  const contenders: Contender[] = []
  const add = async (label: string, making: () => Promise<Contender>): Promise<void> => {
    try {
      contenders.push(await making())
    } catch (error) {
      result.failures[label] = messageOf(error)
    }
  }
  try {
    await add(base, () => falllineContender(base, optimizer, size.shape))
    if (effort === 'once') {
      result.note = 'one step, the engine not warmed up'
      const single = contenders.pop()
      if (single) {
        const [seconds] = await single.run(1)
        result.seconds[base] = { median: seconds!, low: seconds!, high: seconds!, count: 1 }
        await single.dispose?.()
      }
    } else {
      for (const [label, setting] of Object.entries(variants)) {
        await add(label, () => falllineContender(label, optimizer, size.shape, setting))
      }
      if (hasUnfused(name)) await add('unfused', () => kernelContender('unfused', unfused(name, size.parameters)))
    }
    await add('copy', async () => contender('copy', (await copy(bytesPerParameter * size.parameters)).step))
    await add('handWritten', () => kernelContender('handWritten', handWrittenAdamW(size.parameters)))

    const group = await measure(contenders, effort === 'once' ? { seconds: 1 } : effort)
    Object.assign(result.failures, Object.fromEntries(group.failures))
    for (const [label, { step }] of group.measurements) result.seconds[label] = step
    result.ratios = ratiosOf(group.measurements, result.seconds[base])
  } finally {
    for (const each of contenders) await each.dispose?.()
    contenders.length = 0
    collectGarbage()
  }
  return result
}

function ratiosOf(measurements: Map<string, Measurement>, once: Summary | undefined): StepResult['ratios'] {
  const ratios: StepResult['ratios'] = {}
  const own = measurements.get(base)
  for (const label of ['copy', 'unfused', 'handWritten', 'throw', 'telemetry', 'twoThreads'] as const) {
    const other = measurements.get(label)
    if (!other) continue
    if (own) {
      // Variants of Fallline are told by how fast they are themselves, the others by how much faster Fallline is.
      const variant = Object.hasOwn(variants, label)
      ratios[label] = variant ? speedRatio(other.rounds, own.rounds) : speedRatio(own.rounds, other.rounds)
    } else if (once) {
      ratios[label] = speedRatio(
        other.rounds.map(() => once.median),
        other.rounds,
      )
    }
  }
  return ratios
}
