import { transport } from '@fallline/solvers'

/**
 * The colours of one picture in the shapes of another, by optimal transport: every pixel is a unit of colour, the plan says which colours of the
 * palette it turns into, and it gets their mean. Light stays lighter than dark, as the map is the slope of a convex function.
 *
 * npx tsx --conditions=@fallline/source examples/colour-transfer.ts
 */

/** Red, green and blue, from 0 to 1. */
export type Colour = readonly [red: number, green: number, blue: number]

export interface Picture {
  readonly width: number
  readonly height: number
  /** Row by row. */
  readonly pixels: readonly Colour[]
}

function paint(width: number, height: number, colour: (x: number, y: number) => Colour): Picture {
  const pixels = Array.from({ length: width * height }, (_, i) => {
    return colour((i % width) / (width - 1), Math.floor(i / width) / (height - 1))
  })
  return { width, height, pixels }
}

/** A grey hill before a light sky, at noon. */
export const hill = paint(16, 10, (x, y) => {
  const light = y > 0.75 - 0.5 * Math.sin(Math.PI * x) ? 0.35 - 0.2 * y + 0.05 * x : 0.9 - 0.25 * y
  return [light, light, light + 0.05]
})

/** A sun that sets over the sea. */
export const sunset = paint(14, 12, (x, y) => {
  if (Math.hypot(x - 0.5, y - 0.45) < 0.15) return [1, 0.9, 0.5]
  return y < 0.6 ? [0.6 + 0.4 * y, 0.2 + 0.6 * y, 0.35 - 0.2 * y] : [0.3 - 0.2 * y, 0.15, 0.45 - 0.2 * y + 0.05 * x]
})

const shares = ({ pixels }: Picture) => new Float64Array(pixels.length).fill(1 / pixels.length)

const squaredDistance = (a: Colour, b: Colour) => a.reduce((sum, part, k) => sum + (part - b[k]!) ** 2, 0)

function planBetween(from: Picture, to: Picture, regularization: number) {
  const costs = from.pixels.map((a) => to.pixels.map((b) => squaredDistance(a, b)))
  return transport(costs, shares(from), shares(to), { regularization })
}

/** What it costs to turn the colours of one picture into those of another: a squared distance. */
export function paletteDistance(from: Picture, to: Picture, regularization = 0.005): number {
  return planBetween(from, to, regularization).cost
}

/** The picture in the colours of the palette; more regularization mixes more of them. */
export function transferColours(picture: Picture, palette: Picture, regularization = 0.005) {
  const { plan, status } = planBetween(picture, palette, regularization)
  const pixels = plan.map((row) => {
    const mass = row.reduce((sum, share) => sum + share, 0)
    return [0, 1, 2].map((k) => {
      return row.reduce((sum, share, j) => sum + (share / mass) * palette.pixels[j]![k]!, 0)
    }) as unknown as Colour
  })
  return { picture: { ...picture, pixels }, status }
}

/** A line of the terminal for two rows of pixels. */
export function show({ width, height, pixels }: Picture): string {
  const code = (colour: Colour) => colour.map((part) => Math.round(255 * Math.min(1, Math.max(0, part)))).join(';')
  const line = (y: number) => {
    const cells = Array.from({ length: width }, (_, x) => {
      return `\u001b[38;2;${code(pixels[y * width + x]!)}m\u001b[48;2;${code(pixels[(y + 1) * width + x]!)}m▀`
    })
    return `${cells.join('')}\u001b[0m`
  }
  return Array.from({ length: Math.floor(height / 2) }, (_, half) => line(2 * half)).join('\n')
}

if (process.argv[1]?.endsWith('colour-transfer.ts')) {
  const { picture, status } = transferColours(hill, sunset)
  for (const each of [hill, sunset, picture]) console.log(`${show(each)}\n`)
  const [before, after] = [hill, picture].map((each) => paletteDistance(each, sunset).toFixed(4))
  console.log(`from the colours of the sunset: ${before} before, ${after} after; ${status.kind}`)
}
