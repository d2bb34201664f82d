import type { TrialRecord } from '@fallline/search'
import { float, hypervolume, nsga2, openStudy, space } from '@fallline/search'

/**
 * A simulator with two objectives: the spring and the damper of a car's suspension. Stiff ones keep the wheel from moving far when it
 * drives over a kerb, and shake those inside; the front says what one costs in the other.
 *
 * npx tsx --conditions=@fallline/source examples/suspension.ts
 */

/** Kilograms on one wheel. */
const mass = 400
/** Metres, and seconds in which the wheel comes up. */
const kerb = 0.1
const rise = 0.05

export const suspension = space({
  /** Newtons a metre. */
  stiffness: float(4e3, 2e5, { scale: 'log' }),
  /** Newton seconds a metre. */
  damping: float(1e2, 2e4, { scale: 'log' }),
})

/** Largest travel of the suspension in metres, and largest acceleration of the body in metres a second squared, by steps of 0.1 ms. */
export function driveOverKerb({ stiffness, damping }: { stiffness: number; damping: number }): [number, number] {
  const dt = 1e-4
  let [height, velocity, travel, shock] = [0, 0, 0, 0]
  for (let time = 0; time < 2; time += dt) {
    const share = Math.min(1, time / rise)
    const road = kerb * share ** 2 * (3 - 2 * share)
    const roadVelocity = time < rise ? (6 * kerb * share * (1 - share)) / rise : 0
    const acceleration = (stiffness * (road - height) + damping * (roadVelocity - velocity)) / mass
    velocity += dt * acceleration
    height += dt * velocity
    travel = Math.max(travel, Math.abs(road - height))
    shock = Math.max(shock, Math.abs(acceleration))
  }
  return [travel, shock]
}

/** The front after so many trials. */
export async function searchSuspension(trials: number, seed = 1): Promise<readonly TrialRecord[]> {
  const study = await openStudy({
    space: suspension,
    objectives: { travel: 'minimize', shock: 'minimize' },
    sampler: nsga2(),
    seed,
  })
  await study.optimize(({ parameters }) => driveOverKerb(parameters), { trials })
  return study.front()
}

if (process.argv[1]?.endsWith('suspension.ts')) {
  const front = [...(await searchSuspension(400))].sort((a, b) => a.values![0]! - b.values![0]!)
  for (const { values, parameters } of front.filter((_, index) => index % Math.ceil(front.length / 10) === 0)) {
    const [travel, shock] = values as [number, number]
    const { stiffness, damping } = parameters as { stiffness: number; damping: number }
    console.log(
      `travel ${(100 * travel).toFixed(1)} cm, shock ${shock.toFixed(1)} m/s², stiffness ${stiffness.toFixed(0)} N/m, damping ${damping.toFixed(0)} Ns/m`,
    )
  }
  const volume = hypervolume(
    front.map(({ values }) => values!),
    [kerb, 100],
  )
  console.log(`${front.length} on the front, hypervolume ${volume.toFixed(3)}`)
}
