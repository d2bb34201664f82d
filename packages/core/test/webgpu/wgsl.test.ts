import {
  adaBelief,
  adagrad,
  adam,
  adamax,
  adamW,
  adan,
  lamb,
  lion,
  nAdam,
  type Optimizer,
  quantized,
  rmsProp,
  sgd,
  signum,
} from 'fallline'
import { wgslOf } from 'fallline/webgpu'
import { describe, expect, it } from 'vitest'

/** What the only kernel does for an element. */
function body(optimizer: Optimizer): string {
  const text = wgslOf(optimizer, [64, 64])
  expect(text.match(/@compute/g)).toHaveLength(1)
  const [, lines = ''] = text.match(/\{\n((?: {4}.*\n)+) {2}\}/)!
  return lines.replaceAll(/^ {4}/gm, '').trimEnd()
}

describe('the WGSL of a pass, for whoever changes the generator to see the change', () => {
  it('SGD, the whole kernel', () => {
    expect(wgslOf(sgd(), [64, 64])).toMatchInlineSnapshot(`
      "// sgd, level 0: a pass over elements
      @group(0) @binding(0) var<storage, read> items: array<vec4u>;
      @group(0) @binding(1) var<storage, read> words: array<u32>;
      @group(0) @binding(3) var<storage, read_write> heap0: array<f32>;

      @compute @workgroup_size(256)
      fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
        let item = items[group.x + group.y * groups.x];
        if (item.x == 0u || (words[0] != 0u && words[2] != 0u)) { return; }
        let entry = item.x;
        let at_parameter = words[entry + 0u];
        let at_gradient = words[entry + 1u];
        let arguments = words[entry + 2u];
        let the_weightDecay = bitcast<f32>(words[arguments + 0u]);
        let the_learningRate = bitcast<f32>(words[arguments + 2u]);
        for (var i = item.y + lane; i < item.z; i += 256u) {
          let old_parameter = heap0[at_parameter + i];
          let old_gradient = heap0[at_gradient + i];
          let r3 = old_parameter * the_weightDecay;
          let r4 = old_gradient + r3;
          let r6 = r4 * the_learningRate;
          let r7 = old_parameter - r6;
          heap0[at_parameter + i] = r7;
        }
      }
      "
    `)
  })
  it('SGD with momentum', () => {
    expect(body(sgd({ momentum: 0.9 }))).toMatchInlineSnapshot(`
      "let old_b = heap0[at_b + i];
      let r2 = old_b * the_momentum;
      let old_gradient = heap0[at_gradient + i];
      let old_parameter = heap0[at_parameter + i];
      let r6 = old_parameter * the_weightDecay;
      let r7 = old_gradient + r6;
      let r9 = r7 * host2;
      let r10 = r2 + r9;
      let r12 = r10 * the_learningRate;
      let r13 = old_parameter - r12;
      heap0[at_b + i] = r10;
      heap0[at_parameter + i] = r13;"
    `)
  })
  it('AdamW', () => {
    expect(body(adamW())).toMatchInlineSnapshot(`
      "let old_m = heap0[at_m + i];
      let r2 = old_m * the_beta1;
      let old_gradient = heap0[at_gradient + i];
      let r5 = select(old_gradient, constant1, constant1 < old_gradient);
      let r7 = select(r5, constant2, r5 < constant2);
      let r9 = r7 * host3;
      let r10 = r2 + r9;
      let old_v = heap0[at_v + i];
      let r13 = old_v * the_beta2;
      let r15 = r7 * host5;
      let r16 = r15 * r15;
      let r17 = r13 + r16;
      let r19 = select(r17, constant6, constant6 < r17);
      let old_parameter = heap0[at_parameter + i];
      let r22 = old_parameter * host7;
      let r24 = r10 * host9;
      let r25 = sqrt(r19);
      let r27 = r25 + host8;
      let r28 = r24 / r27;
      let r29 = r22 - r28;
      heap0[at_m + i] = r10;
      heap0[at_v + i] = r19;
      heap0[at_parameter + i] = r29;"
    `)
  })
  it('Adam', () => {
    expect(body(adam())).toMatchInlineSnapshot(`
      "let old_m = heap0[at_m + i];
      let r2 = old_m * the_beta1;
      let old_gradient = heap0[at_gradient + i];
      let old_parameter = heap0[at_parameter + i];
      let r6 = old_parameter * the_weightDecay;
      let r7 = old_gradient + r6;
      let r9 = select(r7, constant2, constant2 < r7);
      let r11 = select(r9, constant3, r9 < constant3);
      let r13 = r11 * host4;
      let r14 = r2 + r13;
      let old_v = heap0[at_v + i];
      let r17 = old_v * the_beta2;
      let r19 = r11 * host6;
      let r20 = r19 * r19;
      let r21 = r17 + r20;
      let r23 = select(r21, constant7, constant7 < r21);
      let r25 = r14 * host9;
      let r26 = sqrt(r23);
      let r28 = r26 + host8;
      let r29 = r25 / r28;
      let r30 = old_parameter - r29;
      heap0[at_m + i] = r14;
      heap0[at_v + i] = r23;
      heap0[at_parameter + i] = r30;"
    `)
  })
  it('Adan', () => {
    expect(body(adan())).toMatchInlineSnapshot(`
      "let old_m = heap0[at_m + i];
      let r2 = old_m * the_beta1;
      let old_gradient = heap0[at_gradient + i];
      let r5 = select(old_gradient, constant1, constant1 < old_gradient);
      let r7 = select(r5, constant2, r5 < constant2);
      let r9 = r7 * host3;
      let r10 = r2 + r9;
      let old_v = heap0[at_v + i];
      let r13 = old_v * the_beta2;
      let old_previous = heap0[at_previous + i];
      let r17 = r7 - old_previous;
      let r18 = select(r17, constant6, host5);
      let r20 = r18 * host7;
      let r21 = r13 + r20;
      let old_n = heap0[at_n + i];
      let r24 = old_n * the_beta3;
      let r25 = r18 * the_beta2;
      let r26 = r7 + r25;
      let r28 = r26 * host9;
      let r29 = r28 * r28;
      let r30 = r24 + r29;
      let r32 = select(r30, constant10, constant10 < r30);
      let old_parameter = heap0[at_parameter + i];
      let r35 = r10 * host11;
      let r37 = r21 * host12;
      let r38 = r35 + r37;
      let r40 = r38 * host14;
      let r41 = sqrt(r32);
      let r43 = r41 + host13;
      let r44 = r40 / r43;
      let r45 = old_parameter - r44;
      let r47 = r45 * host15;
      heap0[at_m + i] = r10;
      heap0[at_v + i] = r21;
      heap0[at_n + i] = r32;
      heap0[at_previous + i] = r7;
      heap0[at_parameter + i] = r47;"
    `)
  })
  it('Lion', () => {
    expect(body(lion())).toMatchInlineSnapshot(`
      "let old_m = heap0[at_m + i];
      let r2 = old_m * the_beta2;
      let old_gradient = heap0[at_gradient + i];
      let r5 = old_gradient * host1;
      let r6 = r2 + r5;
      let old_parameter = heap0[at_parameter + i];
      let r9 = old_parameter * host2;
      let r11 = old_m * the_beta1;
      let r13 = old_gradient * host4;
      let r14 = r11 + r13;
      let r15 = select(select(0f, -1f, r14 < 0f), 1f, r14 > 0f);
      let r17 = r15 * the_learningRate;
      let r18 = r9 - r17;
      heap0[at_m + i] = r6;
      heap0[at_parameter + i] = r18;"
    `)
  })
  it('Adagrad', () => {
    expect(body(adagrad())).toMatchInlineSnapshot(`
      "let old_s = heap0[at_s + i];
      let r3 = select(old_s, the_initialSum, host0);
      let old_gradient = heap0[at_gradient + i];
      let old_parameter = heap0[at_parameter + i];
      let r7 = old_parameter * the_weightDecay;
      let r8 = old_gradient + r7;
      let r10 = select(r8, constant3, constant3 < r8);
      let r12 = select(r10, constant4, r10 < constant4);
      let r13 = r12 * r12;
      let r14 = r3 + r13;
      let r16 = select(r14, constant5, constant5 < r14);
      let r18 = r12 * host7;
      let r19 = sqrt(r16);
      let r21 = r19 + the_epsilon;
      let r22 = r18 / r21;
      let r23 = old_parameter - r22;
      heap0[at_s + i] = r16;
      heap0[at_parameter + i] = r23;"
    `)
  })
  it('RMSProp', () => {
    expect(body(rmsProp())).toMatchInlineSnapshot(`
      "let old_v = heap0[at_v + i];
      let r3 = select(old_v, the_initialAverage, host0);
      let r5 = r3 * the_beta;
      let old_gradient = heap0[at_gradient + i];
      let old_parameter = heap0[at_parameter + i];
      let r9 = old_parameter * the_weightDecay;
      let r10 = old_gradient + r9;
      let r12 = select(r10, constant4, constant4 < r10);
      let r14 = select(r12, constant5, r12 < constant5);
      let r16 = r14 * host6;
      let r17 = r16 * r16;
      let r18 = r5 + r17;
      let r20 = select(r18, constant7, constant7 < r18);
      let r22 = r14 * the_learningRate;
      let r23 = sqrt(r20);
      let r25 = r23 + the_epsilon;
      let r26 = r22 / r25;
      let r27 = old_parameter - r26;
      heap0[at_v + i] = r20;
      heap0[at_parameter + i] = r27;"
    `)
  })
  it('NAdam', () => {
    expect(body(nAdam())).toMatchInlineSnapshot(`
      "let old_m = heap0[at_m + i];
      let r2 = old_m * the_beta1;
      let old_gradient = heap0[at_gradient + i];
      let old_parameter = heap0[at_parameter + i];
      let r6 = old_parameter * the_weightDecay;
      let r7 = old_gradient + r6;
      let r9 = select(r7, constant2, constant2 < r7);
      let r11 = select(r9, constant3, r9 < constant3);
      let r13 = r11 * host4;
      let r14 = r2 + r13;
      let old_v = heap0[at_v + i];
      let r17 = old_v * the_beta2;
      let r19 = r11 * host6;
      let r20 = r19 * r19;
      let r21 = r17 + r20;
      let r23 = select(r21, constant7, constant7 < r21);
      let r25 = r14 * host8;
      let r27 = r11 * host9;
      let r28 = r25 + r27;
      let r30 = r28 * host11;
      let r31 = sqrt(r23);
      let r33 = r31 + host10;
      let r34 = r30 / r33;
      let r35 = old_parameter - r34;
      heap0[at_m + i] = r14;
      heap0[at_v + i] = r23;
      heap0[at_parameter + i] = r35;"
    `)
  })
  it('AdaBelief', () => {
    expect(body(adaBelief())).toMatchInlineSnapshot(`
      "let old_m = heap0[at_m + i];
      let r2 = old_m * the_beta1;
      let old_gradient = heap0[at_gradient + i];
      let r5 = select(old_gradient, constant1, constant1 < old_gradient);
      let r7 = select(r5, constant2, r5 < constant2);
      let r9 = r7 * host3;
      let r10 = r2 + r9;
      let old_s = heap0[at_s + i];
      let r13 = old_s * the_beta2;
      let r14 = r7 - r10;
      let r16 = r14 * host5;
      let r17 = r16 * r16;
      let r18 = r13 + r17;
      let r20 = select(r18, constant6, constant6 < r18);
      let r22 = r20 + the_epsilon;
      let old_parameter = heap0[at_parameter + i];
      let r25 = old_parameter * host8;
      let r28 = r10 * host10;
      let r29 = sqrt(r22);
      let r30 = r29 + the_epsilon;
      let r31 = r28 / r30;
      let r33 = r10 * host11;
      let r34 = select(r33, r31, host9);
      let r36 = r34 * the_learningRate;
      let r37 = r25 - r36;
      heap0[at_m + i] = r10;
      heap0[at_s + i] = r22;
      heap0[at_parameter + i] = r37;"
    `)
  })
  it('Signum', () => {
    expect(body(signum())).toMatchInlineSnapshot(`
      "let old_m = heap0[at_m + i];
      let r2 = old_m * the_momentum;
      let old_gradient = heap0[at_gradient + i];
      let r5 = old_gradient * host1;
      let r6 = r2 + r5;
      let old_parameter = heap0[at_parameter + i];
      let r9 = old_parameter * host2;
      let r10 = select(select(0f, -1f, r6 < 0f), 1f, r6 > 0f);
      let r12 = r10 * the_learningRate;
      let r13 = r9 - r12;
      heap0[at_m + i] = r6;
      heap0[at_parameter + i] = r13;"
    `)
  })
  it('AdaMax', () => {
    expect(body(adamax())).toMatchInlineSnapshot(`
      "let old_m = heap0[at_m + i];
      let r2 = old_m * the_beta1;
      let old_gradient = heap0[at_gradient + i];
      let old_parameter = heap0[at_parameter + i];
      let r6 = old_parameter * the_weightDecay;
      let r7 = old_gradient + r6;
      let r9 = r7 * host2;
      let r10 = r2 + r9;
      let old_u = heap0[at_u + i];
      let r13 = old_u * the_beta2;
      let r14 = abs(r7);
      let r16 = r14 + the_epsilon;
      let r17 = select(r13, r16, r13 < r16);
      let r19 = r10 * host5;
      let r20 = r19 / r17;
      let r21 = old_parameter - r20;
      heap0[at_m + i] = r10;
      heap0[at_u + i] = r17;
      heap0[at_parameter + i] = r21;"
    `)
  })
})

describe('the WGSL of an optimizer', () => {
  it('has kernels for sums, for numbers and for what follows from them', () => {
    const titles = [...wgslOf(lamb()).matchAll(/^\/\/ (.*)$/gm)].map(([, title]) => title)
    expect(titles).toMatchInlineSnapshot(`
      [
        "lamb, level 0: a pass over elements",
        "lamb, level 1: a pass over elements",
        "lamb, level 1: numbers",
      ]
    `)
  })

  it('names a factory as it does an optimizer, and what it cannot make', () => {
    expect(wgslOf(lion)).toBe(wgslOf(lion()))
    expect(() => wgslOf('lion' as never)).toThrow('the argument')
    expect(() => wgslOf(quantized(adamW(), { bits: 8 }))).toThrow(
      /the state 'm' of 'parameter' is kept as \w+, and this backend keeps float32 only/,
    )
  })
})
