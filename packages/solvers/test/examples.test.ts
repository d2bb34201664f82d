import { describe, expect, it } from 'vitest'
import { type Colour, hill, paletteDistance, show, sunset, transferColours } from '../../../examples/colour-transfer.ts'
import {
  bounds,
  fitMemory,
  initial,
  learner,
  logLoss,
  memoryResiduals,
  simulate,
} from '../../../examples/spaced-repetition.ts'
import { countsAt, fitSpectrum, measure, truth } from '../../../examples/spectrum.ts'

describe('the example of a spectrum', () => {
  const data = measure(truth, 1)
  const guesses = [12, 30, 43, 60, 88]

  it('finds five peaks on a sloping base though counts are spoilt', () => {
    const { spectrum, status } = fitSpectrum(data, guesses)
    expect(status.kind).toBe('converged')
    spectrum.peaks.forEach(({ height, place, width }, i) => {
      const right = truth.peaks[i]!
      expect(Math.abs(height - right.height)).toBeLessThan(1.5)
      expect(Math.abs(place - right.place)).toBeLessThan(0.2)
      expect(Math.abs(width - right.width)).toBeLessThan(0.2)
    })
    expect(Math.abs(spectrum.base[0] - 20)).toBeLessThan(1.5)
  })

  it('is nearer to the truth than with squares', () => {
    const error = (loss: 'linear' | 'softL1') => {
      const { spectrum } = fitSpectrum(data, guesses, loss)
      return data.reduce((sum, [place]) => sum + (countsAt(spectrum, place) - countsAt(truth, place)) ** 2, 0)
    }
    expect(error('softL1')).toBeLessThan(error('linear') / 5)
  })
})

describe('the example of spaced repetition', () => {
  const cards = simulate(200, learner, 2)

  it('has the derivatives of its residuals', () => {
    const { value, jacobian } = memoryResiduals(cards.slice(0, 100))
    const w = Float64Array.from(learner)
    const rows = jacobian(w)
    for (let j = 0; j < w.length; j++) {
      const h = 1e-6 * w[j]!
      const [ahead, behind] = [1, -1].map((sign) => value(w.map((element, k) => element + (k === j ? sign * h : 0))))
      let [wrong, size] = [0, 0]
      rows.forEach((row, i) => {
        wrong = Math.max(wrong, Math.abs((ahead![i]! - behind![i]!) / (2 * h) - row[j]!))
        size = Math.max(size, Math.abs(row[j]!))
      })
      expect(size).toBeGreaterThan(0)
      expect(wrong / size).toBeLessThan(1e-4)
    }
  })

  it('learns weights within their bounds that foretell other cards better', () => {
    const { point, status } = fitMemory(cards)
    expect(status.kind).toBe('converged')
    point.forEach((weight, j) => {
      expect(weight).toBeGreaterThanOrEqual(bounds[j]![0])
      expect(weight).toBeLessThanOrEqual(bounds[j]![1])
    })
    // What fits is at least as likely as what is true.
    expect(logLoss(cards, point)).toBeLessThan(logLoss(cards, learner))
    const others = simulate(1000, learner, 3)
    expect(logLoss(others, point)).toBeLessThan(logLoss(others, initial))
  })

  it('keeps the weights of a learner who is like the average', () => {
    const gained =
      logLoss(simulate(200, initial, 3), initial) -
      logLoss(simulate(200, initial, 3), fitMemory(simulate(200, initial, 3)).point)
    expect(gained).toBeGreaterThanOrEqual(0)
    expect(gained).toBeLessThan(0.01)
  })
})

describe('the example of a transfer of colours', () => {
  const { picture, status } = transferColours(hill, sunset)
  const mean = (pixels: readonly Colour[], k: number) => pixels.reduce((sum, each) => sum + each[k]!, 0) / pixels.length

  it('gives the picture the mean colour of the palette', () => {
    expect(status.kind).toBe('converged')
    expect(picture.pixels).toHaveLength(hill.pixels.length)
    for (const k of [0, 1, 2]) {
      expect(Math.abs(mean(picture.pixels, k) - mean(sunset.pixels, k))).toBeLessThan(1e-6)
      expect(Math.abs(mean(hill.pixels, k) - mean(sunset.pixels, k))).toBeGreaterThan(0.01)
    }
  })

  it('comes nearer to the palette, and all the more with less regularization', () => {
    const after = paletteDistance(picture, sunset)
    expect(after).toBeLessThan(paletteDistance(hill, sunset) / 10)
    expect(after).toBeLessThan(paletteDistance(transferColours(hill, sunset, 0.1).picture, sunset))
  })

  it('is a monotone map of colours', () => {
    hill.pixels.forEach((a, i) => {
      for (let j = 0; j < i; j++) {
        const along = a.reduce((sum, part, k) => {
          return sum + (part - hill.pixels[j]![k]!) * (picture.pixels[i]![k]! - picture.pixels[j]![k]!)
        }, 0)
        expect(along).toBeGreaterThan(-1e-6)
      }
    })
  })

  it('shows two rows of pixels in a line', () => {
    expect(show(hill).split('\n')).toHaveLength(5)
    expect(show(hill).split('▀')).toHaveLength(16 * 5 + 1)
  })
})
