/** The share of a ramp that is done after `step` of `steps` steps: 0 before it, 1 from its end on. */
export function progressAt(step: number, steps: number): number {
  return steps > 0 ? Math.min(1, Math.max(0, step / steps)) : 1
}

/**
 * from·left + to·done, never outside [from, to]. The caller gives both shares (they add up to 1), because 1 − done would
 * lose the digits of a small remainder.
 */
export function blend(from: number, to: number, left: number, done: number): number {
  const value = from * left + to * done
  return Math.min(Math.max(from, to), Math.max(Math.min(from, to), value))
}

/** Half a cosine wave from `from` to `to`; (1 + cos πp)/2 is written as cos²(πp/2), which keeps its digits near p = 1. */
export function cosineRamp(from: number, to: number, progress: number): number {
  if (progress >= 1) return to
  const angle = (Math.PI / 2) * progress
  return blend(from, to, Math.cos(angle) ** 2, Math.sin(angle) ** 2)
}

/** A straight line from `from` to `to`. */
export function linearRamp(from: number, to: number, progress: number): number {
  return blend(from, to, 1 - progress, progress)
}
