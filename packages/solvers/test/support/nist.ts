import { readFileSync } from 'node:fs'

/** A data set for nonlinear regression with a certified answer. */
export interface DataSet {
  readonly name: string
  readonly starts: readonly number[][]
  readonly certified: readonly number[]
  /** Of squared residuals. */
  readonly sum: number
  readonly residuals: (b: Float64Array) => number[]
}

type Model = (b: Float64Array) => (x: number, second: number) => number

const { exp, sin, cos, PI } = Math
const misra: Model =
  ([b1, b2]) =>
  (x) =>
    b1! * (1 - exp(-b2! * x))
const chwirut: Model =
  ([b1, b2, b3]) =>
  (x) =>
    exp(-b1! * x) / (b2! + b3! * x)
const lanczos: Model =
  ([b1, b2, b3, b4, b5, b6]) =>
  (x) =>
    b1! * exp(-b2! * x) + b3! * exp(-b4! * x) + b5! * exp(-b6! * x)
const gauss: Model =
  ([b1, b2, b3, b4, b5, b6, b7, b8]) =>
  (x) =>
    b1! * exp(-b2! * x) + b3! * exp(-((x - b4!) ** 2) / b5! ** 2) + b6! * exp(-((x - b7!) ** 2) / b8! ** 2)
const cubics: Model =
  ([b1, b2, b3, b4, b5, b6, b7]) =>
  (x) =>
    (b1! + b2! * x + b3! * x ** 2 + b4! * x ** 3) / (1 + b5! * x + b6! * x ** 2 + b7! * x ** 3)

const models: Readonly<Record<string, Model>> = {
  Bennett5:
    ([b1, b2, b3]) =>
    (x) =>
      b1! * (b2! + x) ** (-1 / b3!),
  BoxBOD: misra,
  Chwirut1: chwirut,
  Chwirut2: chwirut,
  DanWood:
    ([b1, b2]) =>
    (x) =>
      b1! * x ** b2!,
  Eckerle4:
    ([b1, b2, b3]) =>
    (x) =>
      (b1! / b2!) * exp(-0.5 * ((x - b3!) / b2!) ** 2),
  ENSO:
    ([b1, b2, b3, b4, b5, b6, b7, b8, b9]) =>
    (x) => {
      const wave = (period: number, c: number, s: number) =>
        c * cos((2 * PI * x) / period) + s * sin((2 * PI * x) / period)
      return b1! + wave(12, b2!, b3!) + wave(b4!, b5!, b6!) + wave(b7!, b8!, b9!)
    },
  Gauss1: gauss,
  Gauss2: gauss,
  Gauss3: gauss,
  Hahn1: cubics,
  Kirby2:
    ([b1, b2, b3, b4, b5]) =>
    (x) =>
      (b1! + b2! * x + b3! * x ** 2) / (1 + b4! * x + b5! * x ** 2),
  Lanczos1: lanczos,
  Lanczos2: lanczos,
  Lanczos3: lanczos,
  MGH09:
    ([b1, b2, b3, b4]) =>
    (x) =>
      (b1! * (x ** 2 + x * b2!)) / (x ** 2 + x * b3! + b4!),
  MGH10:
    ([b1, b2, b3]) =>
    (x) =>
      b1! * exp(b2! / (x + b3!)),
  MGH17:
    ([b1, b2, b3, b4, b5]) =>
    (x) =>
      b1! + b2! * exp(-x * b4!) + b3! * exp(-x * b5!),
  Misra1a: misra,
  Misra1b:
    ([b1, b2]) =>
    (x) =>
      b1! * (1 - (1 + (b2! * x) / 2) ** -2),
  Misra1c:
    ([b1, b2]) =>
    (x) =>
      b1! * (1 - (1 + 2 * b2! * x) ** -0.5),
  Misra1d:
    ([b1, b2]) =>
    (x) =>
      (b1! * b2! * x) / (1 + b2! * x),
  // Of the logarithm of the response.
  Nelson:
    ([b1, b2, b3]) =>
    (x, second) =>
      b1! - b2! * x * exp(-b3! * second),
  Rat42:
    ([b1, b2, b3]) =>
    (x) =>
      b1! / (1 + exp(b2! - b3! * x)),
  Rat43:
    ([b1, b2, b3, b4]) =>
    (x) =>
      b1! / (1 + exp(b2! - b3! * x)) ** (1 / b4!),
  Roszman1:
    ([b1, b2, b3, b4]) =>
    (x) =>
      b1! - b2! * x - Math.atan(b3! / (x - b4!)) / PI,
  Thurber: cubics,
}

/** All 27 sets of the Statistical Reference Datasets for nonlinear regression. */
export const dataSets: readonly DataSet[] = readFileSync(new URL('./nist.txt', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n\n')
  .slice(1)
  .map((block) => {
    const [name, ...lines] = block.split('\n') as [string, ...string[]]
    const under = (key: string) =>
      lines.filter((line) => line.startsWith(`${key} `)).map((line) => line.split(' ').slice(1).map(Number))
    const [y] = under('y')
    const [x, second] = under('x')
    const response = name === 'Nelson' ? y!.map(Math.log) : y!
    return {
      name,
      starts: under('start'),
      certified: under('certified')[0]!,
      sum: under('sum')[0]![0]!,
      residuals(b) {
        const model = models[name]!(b)
        return response.map((given, i) => model(x![i]!, second?.[i] ?? 0) - given)
      },
    }
  })
