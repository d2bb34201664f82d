import type { Json } from '../json.ts'
import type { Random } from '../random.ts'
import type { Point } from '../space/dimension.ts'
import type { View } from '../study/view.ts'

/** What a sampler is asked. */
export interface Request<State> {
  /** Number that a new trial would get. */
  readonly number: number
  /** Random numbers of this study, trial and attempt. */
  readonly random: Random
  /** What the sampler has kept; `null` at first. */
  readonly state: State | null
}

/** What a sampler answers. */
export type Proposal<State> = {
  /** What it wants to keep; without it, what it has kept stays. */
  readonly state?: State
} & (
  | {
      readonly kind: 'trial'
      readonly point: Point
      /** How far to go, in the unit of the resource. Default: to the end. */
      readonly until?: number
      /** Kept with the trial, for the sampler to read later. */
      readonly note?: Json
    }
  | {
      /** Go on with a paused trial. */
      readonly kind: 'continue'
      readonly trial: number
      readonly until: number
      /** Replaces the note of the trial. */
      readonly note?: Json
    }
  | {
      /** Nothing before a trial has ended or paused; says which. */
      readonly kind: 'wait'
      readonly reason: string
    }
  | {
      /** Nothing more, ever; says why. */
      readonly kind: 'end'
      readonly reason: string
    }
)

/**
 * Proposes what to try. A pure function of the view, random numbers and a state of its own (plain JSON): the same three give the same
 * proposal in every process. Points are settled by the study and need not be: numbers between the steps of a domain are allowed. A
 * sampler need not care about constraints on parameters either: the study asks again, with other random numbers.
 *
 * It must bear whatever a view can have: no trial yet, losses that are infinite, failed trials, points with `null`, all losses equal.
 */
export interface Sampler<State extends Json = Json> {
  /** As its registry has it. */
  readonly name: string
  /** Whether it can weigh several objectives. Default: no. */
  readonly severalObjectives?: boolean
  /** Whether it needs the study to have a resource. Default: no. */
  readonly needsResource?: boolean
  propose(view: View, request: Request<State>): Proposal<State> | Promise<Proposal<State>>
}
