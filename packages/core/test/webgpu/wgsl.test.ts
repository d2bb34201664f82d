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
      @group(0) @binding(4) var<storage, read_write> parameters: array<f32>;
      @group(0) @binding(5) var<storage, read_write> gradients: array<f32>;

      @compute @workgroup_size(256)
      fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
        let item = items[group.x + group.y * groups.x];
        if (item.x == 0u || (words[0] != 0u && words[2] != 0u)) { return; }
        let entry = item.x;
        let at_parameter = words[entry + 0u];
        let at_gradient = words[entry + 1u];
        let the_weightDecay = bitcast<f32>(words[words[entry + 2u]]);
        let the_learningRate = bitcast<f32>(words[words[entry + 3u]]);
        for (var i = item.y + lane; i < item.z; i += 256u) {
          let old_parameter = parameters[at_parameter + i];
          let old_gradient = gradients[at_gradient + i];
          let r0 = old_parameter * the_weightDecay;
          let r1 = old_gradient + r0;
          let r2 = r1 * the_learningRate;
          let r3 = old_parameter - r2;
          parameters[at_parameter + i] = r3;
        }
      }
      "
    `)
  })
  it('SGD with momentum', () => {
    expect(body(sgd({ momentum: 0.9 }))).toMatchInlineSnapshot(`
      "let old_b = state[at_b + i];
      let r0 = old_b * the_momentum;
      let old_gradient = gradients[at_gradient + i];
      let old_parameter = parameters[at_parameter + i];
      let r1 = old_parameter * the_weightDecay;
      let r2 = old_gradient + r1;
      let r3 = r2 * host0;
      let r4 = r0 + r3;
      let r5 = r4 * the_learningRate;
      let r6 = old_parameter - r5;
      state[at_b + i] = r4;
      parameters[at_parameter + i] = r6;"
    `)
  })
  it('AdamW', () => {
    expect(body(adamW())).toMatchInlineSnapshot(`
      "let old_m = state[at_m + i];
      let r0 = old_m * the_beta1;
      let old_gradient = gradients[at_gradient + i];
      let r1 = select(old_gradient, constant0, constant0 < old_gradient);
      let r2 = select(r1, constant1, r1 < constant1);
      let r3 = r2 * host0;
      let r4 = r0 + r3;
      let old_v = state[at_v + i];
      let r5 = old_v * the_beta2;
      let r6 = r2 * host1;
      let r7 = r6 * r6;
      let r8 = r5 + r7;
      let r9 = select(r8, constant2, constant2 < r8);
      let old_parameter = parameters[at_parameter + i];
      let r10 = old_parameter * host2;
      let r11 = r4 * host3;
      let r12 = sqrt(r9);
      let r13 = r12 + host4;
      let r14 = r11 / r13;
      let r15 = r10 - r14;
      state[at_m + i] = r4;
      state[at_v + i] = r9;
      parameters[at_parameter + i] = r15;"
    `)
  })
  it('Adam', () => {
    expect(body(adam())).toMatchInlineSnapshot(`
      "let old_m = state[at_m + i];
      let r0 = old_m * the_beta1;
      let old_gradient = gradients[at_gradient + i];
      let old_parameter = parameters[at_parameter + i];
      let r1 = old_parameter * the_weightDecay;
      let r2 = old_gradient + r1;
      let r3 = select(r2, constant0, constant0 < r2);
      let r4 = select(r3, constant1, r3 < constant1);
      let r5 = r4 * host0;
      let r6 = r0 + r5;
      let old_v = state[at_v + i];
      let r7 = old_v * the_beta2;
      let r8 = r4 * host1;
      let r9 = r8 * r8;
      let r10 = r7 + r9;
      let r11 = select(r10, constant2, constant2 < r10);
      let r12 = r6 * host2;
      let r13 = sqrt(r11);
      let r14 = r13 + host3;
      let r15 = r12 / r14;
      let r16 = old_parameter - r15;
      state[at_m + i] = r6;
      state[at_v + i] = r11;
      parameters[at_parameter + i] = r16;"
    `)
  })
  it('Adan', () => {
    expect(body(adan())).toMatchInlineSnapshot(`
      "let old_m = state[at_m + i];
      let r0 = old_m * the_beta1;
      let old_gradient = gradients[at_gradient + i];
      let r1 = select(old_gradient, constant0, constant0 < old_gradient);
      let r2 = select(r1, constant1, r1 < constant1);
      let r3 = r2 * host0;
      let r4 = r0 + r3;
      let old_v = state[at_v + i];
      let r5 = old_v * the_beta2;
      let old_previous = state[at_previous + i];
      let r6 = r2 - old_previous;
      let r7 = select(r6, constant2, host1);
      let r8 = r7 * host2;
      let r9 = r5 + r8;
      let old_n = state[at_n + i];
      let r10 = old_n * the_beta3;
      let r11 = r7 * the_beta2;
      let r12 = r2 + r11;
      let r13 = r12 * host3;
      let r14 = r13 * r13;
      let r15 = r10 + r14;
      let r16 = select(r15, constant3, constant3 < r15);
      let old_parameter = parameters[at_parameter + i];
      let r17 = r4 * host4;
      let r18 = r9 * host5;
      let r19 = r17 + r18;
      let r20 = r19 * host6;
      let r21 = sqrt(r16);
      let r22 = r21 + host7;
      let r23 = r20 / r22;
      let r24 = old_parameter - r23;
      let r25 = r24 * host8;
      state[at_m + i] = r4;
      state[at_v + i] = r9;
      state[at_n + i] = r16;
      state[at_previous + i] = r2;
      parameters[at_parameter + i] = r25;"
    `)
  })
  it('Lion', () => {
    expect(body(lion())).toMatchInlineSnapshot(`
      "let old_m = state[at_m + i];
      let r0 = old_m * the_beta2;
      let old_gradient = gradients[at_gradient + i];
      let r1 = old_gradient * host0;
      let r2 = r0 + r1;
      let old_parameter = parameters[at_parameter + i];
      let r3 = old_parameter * host1;
      let r4 = old_m * the_beta1;
      let r5 = old_gradient * host2;
      let r6 = r4 + r5;
      let r7 = select(select(0f, -1f, r6 < 0f), 1f, r6 > 0f);
      let r8 = r7 * the_learningRate;
      let r9 = r3 - r8;
      state[at_m + i] = r2;
      parameters[at_parameter + i] = r9;"
    `)
  })
  it('Adagrad', () => {
    expect(body(adagrad())).toMatchInlineSnapshot(`
      "let old_s = state[at_s + i];
      let r0 = select(old_s, the_initialSum, host0);
      let old_gradient = gradients[at_gradient + i];
      let old_parameter = parameters[at_parameter + i];
      let r1 = old_parameter * the_weightDecay;
      let r2 = old_gradient + r1;
      let r3 = select(r2, constant0, constant0 < r2);
      let r4 = select(r3, constant1, r3 < constant1);
      let r5 = r4 * r4;
      let r6 = r0 + r5;
      let r7 = select(r6, constant2, constant2 < r6);
      let r8 = r4 * host1;
      let r9 = sqrt(r7);
      let r10 = r9 + the_epsilon;
      let r11 = r8 / r10;
      let r12 = old_parameter - r11;
      state[at_s + i] = r7;
      parameters[at_parameter + i] = r12;"
    `)
  })
  it('RMSProp', () => {
    expect(body(rmsProp())).toMatchInlineSnapshot(`
      "let old_v = state[at_v + i];
      let r0 = select(old_v, the_initialAverage, host0);
      let r1 = r0 * the_beta;
      let old_gradient = gradients[at_gradient + i];
      let old_parameter = parameters[at_parameter + i];
      let r2 = old_parameter * the_weightDecay;
      let r3 = old_gradient + r2;
      let r4 = select(r3, constant0, constant0 < r3);
      let r5 = select(r4, constant1, r4 < constant1);
      let r6 = r5 * host1;
      let r7 = r6 * r6;
      let r8 = r1 + r7;
      let r9 = select(r8, constant2, constant2 < r8);
      let r10 = r5 * the_learningRate;
      let r11 = sqrt(r9);
      let r12 = r11 + the_epsilon;
      let r13 = r10 / r12;
      let r14 = old_parameter - r13;
      state[at_v + i] = r9;
      parameters[at_parameter + i] = r14;"
    `)
  })
  it('NAdam', () => {
    expect(body(nAdam())).toMatchInlineSnapshot(`
      "let old_m = state[at_m + i];
      let r0 = old_m * the_beta1;
      let old_gradient = gradients[at_gradient + i];
      let old_parameter = parameters[at_parameter + i];
      let r1 = old_parameter * the_weightDecay;
      let r2 = old_gradient + r1;
      let r3 = select(r2, constant0, constant0 < r2);
      let r4 = select(r3, constant1, r3 < constant1);
      let r5 = r4 * host0;
      let r6 = r0 + r5;
      let old_v = state[at_v + i];
      let r7 = old_v * the_beta2;
      let r8 = r4 * host1;
      let r9 = r8 * r8;
      let r10 = r7 + r9;
      let r11 = select(r10, constant2, constant2 < r10);
      let r12 = r6 * host2;
      let r13 = r4 * host3;
      let r14 = r12 + r13;
      let r15 = r14 * host4;
      let r16 = sqrt(r11);
      let r17 = r16 + host5;
      let r18 = r15 / r17;
      let r19 = old_parameter - r18;
      state[at_m + i] = r6;
      state[at_v + i] = r11;
      parameters[at_parameter + i] = r19;"
    `)
  })
  it('AdaBelief', () => {
    expect(body(adaBelief())).toMatchInlineSnapshot(`
      "let old_m = state[at_m + i];
      let r0 = old_m * the_beta1;
      let old_gradient = gradients[at_gradient + i];
      let r1 = select(old_gradient, constant0, constant0 < old_gradient);
      let r2 = select(r1, constant1, r1 < constant1);
      let r3 = r2 * host0;
      let r4 = r0 + r3;
      let old_s = state[at_s + i];
      let r5 = old_s * the_beta2;
      let r6 = r2 - r4;
      let r7 = r6 * host1;
      let r8 = r7 * r7;
      let r9 = r5 + r8;
      let r10 = select(r9, constant2, constant2 < r9);
      let r11 = r10 + the_epsilon;
      let old_parameter = parameters[at_parameter + i];
      let r12 = old_parameter * host2;
      let r13 = r4 * host4;
      let r14 = sqrt(r11);
      let r15 = r14 + the_epsilon;
      let r16 = r13 / r15;
      let r17 = r4 * host5;
      let r18 = select(r17, r16, host3);
      let r19 = r18 * the_learningRate;
      let r20 = r12 - r19;
      state[at_m + i] = r4;
      state[at_s + i] = r11;
      parameters[at_parameter + i] = r20;"
    `)
  })
  it('Signum', () => {
    expect(body(signum())).toMatchInlineSnapshot(`
      "let old_m = state[at_m + i];
      let r0 = old_m * the_momentum;
      let old_gradient = gradients[at_gradient + i];
      let r1 = old_gradient * host0;
      let r2 = r0 + r1;
      let old_parameter = parameters[at_parameter + i];
      let r3 = old_parameter * host1;
      let r4 = select(select(0f, -1f, r2 < 0f), 1f, r2 > 0f);
      let r5 = r4 * the_learningRate;
      let r6 = r3 - r5;
      state[at_m + i] = r2;
      parameters[at_parameter + i] = r6;"
    `)
  })
  it('AdaMax', () => {
    expect(body(adamax())).toMatchInlineSnapshot(`
      "let old_m = state[at_m + i];
      let r0 = old_m * the_beta1;
      let old_gradient = gradients[at_gradient + i];
      let old_parameter = parameters[at_parameter + i];
      let r1 = old_parameter * the_weightDecay;
      let r2 = old_gradient + r1;
      let r3 = r2 * host0;
      let r4 = r0 + r3;
      let old_u = state[at_u + i];
      let r5 = old_u * the_beta2;
      let r6 = abs(r2);
      let r7 = r6 + the_epsilon;
      let r8 = select(r5, r7, r5 < r7);
      let r9 = r4 * host1;
      let r10 = r9 / r8;
      let r11 = old_parameter - r10;
      state[at_m + i] = r4;
      state[at_u + i] = r8;
      parameters[at_parameter + i] = r11;"
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

  it('is the same of a factory and of its optimizer, and refuses what is none', () => {
    expect(wgslOf(lion)).toBe(wgslOf(lion()))
    expect(() => wgslOf('lion' as never)).toThrow('the argument')
  })
})
