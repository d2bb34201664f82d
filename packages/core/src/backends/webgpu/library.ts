/** Kernels that do not depend on a plan: the check for finiteness, copies of parameters, totals over tensors. */

import type { ReductionKind } from '../../graph/node.ts'
import { parameterSlot } from '../../program/program.ts'
import type { StagedStorage } from '../../storage/storage.ts'
import { growthOf, head, heapName, type Kernel, kernelOf, moduleOf } from './kernel.ts'
import { decodeName } from './storages.ts'
import type { TensorMemory } from './tensor-memory.ts'
import { lanes } from './workgroup.ts'

/**
 * Notes the attempt that runs as the one that failed when an element is infinite or not a number, and marks the tensor with it. By
 * bits, because WGSL need not tell what is not finite. Items: mark, first, last, where the gradient begins.
 */
export function checkFinite(heaps: number, heap: number): Kernel {
  const label = 'check of gradients'
  const body = `  let attempt = atomicLoad(&words[${head.attempt}]);
  let failed = atomicLoad(&words[${head.failed}]);
  for (var i = item.y + lane; i < item.z; i += ${lanes}u) {
    let bits = bitcast<u32>(${heapName(heap)}[item.w + i]);
    if ((bits & 0x7fffffffu) >= 0x7f800000u && (failed == 0u || failed == attempt)) {
      atomicStore(&words[${head.failed}], attempt);
      atomicStore(&words[entry], attempt);
    }
  }`
  return kernelOf(label, moduleOf(label, heaps, [body], { judges: true }), [], true)
}

/** Copies arrays. Entry: where to and where from. Items: first and last. */
export function copyKernel(heaps: number, to: number, from: number): Kernel {
  const label = 'copy of parameters'
  const body = `  let to = words[entry];
  let source = words[entry + 1u];
  for (var i = item.y + lane; i < item.z; i += ${lanes}u) {
    ${heapName(to)}[to + i] = ${heapName(from)}[source + i];
  }`
  return kernelOf(label, moduleOf(label, heaps, [body]))
}

/** Copies arrays that are kept otherwise than in float32. Entry: where to, and what reads an element. Items: first and last. */
function unpackKernel(heaps: number, to: number, storage: StagedStorage): Kernel {
  const label = `copy of parameters in ${storage}`
  const body = `  let to = words[entry];
  let source = words[entry + 1u];
  let size = words[entry + 2u];
  let codes = words[entry + 3u];
  for (var i = item.y + lane; i < item.z; i += ${lanes}u) {
    ${heapName(to)}[to + i] = ${decodeName(storage)}(source, size, codes, i);
  }`
  return kernelOf(label, moduleOf(label, heaps, [body]))
}

/** Copies the parameter of a tensor to a heap, however it is kept. */
export function parameterCopy(heaps: number, { parameter, packed }: TensorMemory, to: number): Kernel {
  const kept = packed.get(parameterSlot)
  return kept ? unpackKernel(heaps, to, kept.storage) : copyKernel(heaps, to, parameter.heap)
}

/**
 * The sum or the maximum over tensors of a global reduction, in the order of the tensors. Items: 1, how many parts, the first of them
 * among the items, where the total goes. Parts: where the number lies, and whether it is one of the host.
 */
export function totalsKernel(heaps: number, kind: ReductionKind): Kernel {
  const label = `${kind} over tensors`
  const { start, add, end } = growthOf(kind)
  const body = `  var total = ${start};
  for (var part = item.z; part < item.z + item.y; part++) {
    let place = items[part];
    var value = 0f;
    if (place.y == 1u) { value = bitcast<f32>(words[place.x]); } else { value = numbers[place.x]; }
    ${add('total', 'value')}
  }
  numbers[item.w] = ${end('total')};`
  return kernelOf(label, moduleOf(label, heaps, [body], { lanes: 1 }))
}
