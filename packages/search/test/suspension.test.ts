import { describe, expect, test } from 'vitest'
import { driveOverKerb, searchSuspension } from '../../../examples/suspension.ts'

describe('the example of a suspension', () => {
  test('moves as the equations say where they are known', () => {
    // Hardly a force: the body stays, and the wheel takes up the kerb.
    const [travel, shock] = driveOverKerb({ stiffness: 1, damping: 1 })
    expect(travel).toBeCloseTo(0.1, 2)
    expect(shock).toBeLessThan(0.02)
    // A very stiff one follows the road, whose curvature is largest at the ends: 6 * 0.1 / 0.05 ** 2.
    expect(driveOverKerb({ stiffness: 1e8, damping: 4e5 })[0]).toBeLessThan(0.002)
    expect(driveOverKerb({ stiffness: 1e8, damping: 4e5 })[1]).toBeGreaterThan(200)
  })

  test('finds a front that goes from soft to hard', async () => {
    const front = await searchSuspension(150)
    const values = front.map((record) => record.values!).sort((a, b) => a[0]! - b[0]!)
    expect(values.length).toBeGreaterThan(8)
    for (const [index, [, shock]] of values.entries())
      if (index > 0) expect(shock).toBeLessThanOrEqual(values[index - 1]![1]!)
    expect(values[0]![0]).toBeLessThan(0.05)
    expect(values.at(-1)![1]).toBeLessThan(10)
  })
})
