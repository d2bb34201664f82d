import type { Place, Readback } from '../backends/backend.ts'
import type { NamedShape } from '../program/model.ts'
import { type TelemetryName, telemetryNames } from '../program/program.ts'

/** Numbers about one tensor in one step, summed within the update's own pass as precisely as the backend sums. */
export interface TensorTelemetry {
  /** ‖g‖, as given, before any transform. */
  readonly gradientNorm: number
  /** ‖θ after - θ before‖. */
  readonly updateNorm: number
  /** ‖θ after‖. */
  readonly parameterNorm: number
  /** How many elements of g are infinite or not a number. */
  readonly nonFinite: number
  /** How many refreshes of what is factored gave numbers that are not finite, so that what was there before them stays. */
  readonly failedFactorizations: number
}

/** The telemetry of the last step by parameter name, from numbers that a backend computed. */
export function telemetryOf(
  tensors: Iterable<{ readonly index: number; readonly shape: NamedShape }>,
  read: (tensor: number, name: TelemetryName) => number | undefined,
): Record<string, TensorTelemetry> {
  const result: Record<string, TensorTelemetry> = Object.create(null)
  for (const { index, shape } of tensors) {
    const numbers = telemetryNames.map((name) => [name, read(index, name) ?? 0] as const)
    result[shape.name] = Object.fromEntries(numbers) as Record<TelemetryName, number>
  }
  return result
}

/** The same, read from where it was computed. */
export async function readTelemetry(
  tensors: readonly { readonly index: number; readonly shape: NamedShape }[],
  readback: Pick<Readback, 'read'>,
): Promise<Record<string, TensorTelemetry>> {
  const places = tensors.flatMap(({ index }) =>
    telemetryNames.map((key): Place => ({ kind: 'telemetry', tensor: index, key })),
  )
  const values = await readback.read(places)
  const orders = new Map(tensors.map(({ index }, order) => [index, order]))
  return telemetryOf(tensors, (tensor, name) => {
    return values[telemetryNames.length * orders.get(tensor)! + telemetryNames.indexOf(name)]![0]
  })
}
