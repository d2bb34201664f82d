import { cpus, loadavg, totalmem } from 'node:os'

/** What the figures were measured on. */
export interface Machine {
  processor: string
  cores: number
  memoryGigabytes: number
  platform: string
  node: string
  v8: string
  /** Runnable processes when the run started. */
  load: number
}

/** Describes this machine. */
export function describeMachine(): Machine {
  const processors = cpus()
  return {
    processor: processors[0]?.model.trim() || 'unknown processor',
    cores: processors.length,
    memoryGigabytes: Math.round(totalmem() / 1e9),
    platform: `${process.platform} ${process.arch}`,
    node: process.versions.node,
    v8: process.versions.v8,
    load: loadavg()[0]!,
  }
}

/** One line about the machine, and a warning when others were using it. */
export function machineLines(machine: Machine): string[] {
  const { processor, cores, memoryGigabytes, platform, node, v8, load } = machine
  const line = `${processor}, ${cores} cores, ${memoryGigabytes} GB, ${platform}, Node ${node} (V8 ${v8})`
  const busy = `The machine was busy when this started (load ${load.toFixed(1)}): trust ratios, and those only roughly.`
  return load > 0.5 ? [line, busy] : [line]
}
