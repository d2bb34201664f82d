import uPlot from 'uplot'
import { defaultRate, optimizers, schedules, wrappers } from './choices.ts'
import type { Device, News, Order } from './messages.ts'

const form = document.querySelector('form')!
const notice = document.querySelector<HTMLElement>('#notice')!
const button = form.querySelector('button')!
const field = (name: keyof Order) => form.elements.namedItem(name) as HTMLInputElement | HTMLSelectElement

/** What one device has done in the run that the page shows. */
interface Run {
  readonly title: string
  readonly row: HTMLTableRowElement
  worker: Worker | undefined
  losses: number[]
  times: number[]
}

const rowOf = (device: Device) => document.querySelector<HTMLTableRowElement>(`#${device}`)!
const runs: Record<Device, Run> = {
  webgpu: { title: 'WebGPU', row: rowOf('webgpu'), worker: undefined, losses: [], times: [] },
  wasm: { title: 'WebAssembly', row: rowOf('wasm'), worker: undefined, losses: [], times: [] },
}
const devices = Object.keys(runs) as Device[]

function fill(name: keyof Order, names: Iterable<{ name: string; title: string }>): void {
  for (const option of names) (field(name) as HTMLSelectElement).add(new Option(option.title, option.name))
}
const named = (names: Iterable<string>) => [...names].map((name) => ({ name, title: name }))
fill('optimizer', optimizers)
fill('wrapper', named(['none', ...wrappers.keys()]))
fill('schedule', named(Object.keys(schedules)))
field('optimizer').value = 'adamW'
field('schedule').value = 'cosine'

const showDefault = () => {
  field('learningRate').value = String(defaultRate(field('optimizer').value))
}
field('optimizer').addEventListener('change', showDefault)
showDefault()

const [dark, light] = ['#0b57d0', '#c2410c']
const chartPlace = document.querySelector<HTMLElement>('#chart')!
const size = () => ({ width: chartPlace.clientWidth, height: Math.max(220, Math.min(360, innerHeight * 0.45)) })
const chart = new uPlot(
  {
    ...size(),
    scales: { x: { time: false } },
    axes: [{ label: 'step' }, { label: 'loss' }],
    series: [
      { label: 'step' },
      { label: runs.webgpu.title, stroke: dark, width: 1.5 },
      { label: runs.wasm.title, stroke: light, width: 1.5, dash: [6, 4] },
    ],
  },
  [[], [], []],
  chartPlace,
)
addEventListener('resize', () => chart.setSize(size()))

/** The middle of the last times: the first steps compile. */
function median(times: readonly number[]): number {
  const last = times.slice(-20).toSorted((a, b) => a - b)
  return last[last.length >> 1]!
}

function show(device: Device, texts: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(texts))
    runs[device].row.querySelector(`[data-is=${name}]`)!.textContent = text
}

function draw(): void {
  const longest = Math.max(...devices.map((device) => runs[device].losses.length))
  const steps = Array.from({ length: longest }, (_, index) => index + 1)
  const padded = ({ losses }: Run) => steps.map((step) => losses[step - 1] ?? null)
  chart.setData([steps, padded(runs.webgpu), padded(runs.wasm)])
}

function end(device: Device, state: string): void {
  runs[device].worker?.terminate()
  runs[device].worker = undefined
  show(device, { state })
  if (devices.every((one) => runs[one].worker === undefined)) button.textContent = 'Train'
}

function hear(device: Device, news: News): void {
  if ('error' in news) end(device, `Failed: ${news.error}`)
  else if ('finished' in news) end(device, 'Done.')
  else if ('doing' in news) show(device, { state: news.doing })
  else {
    const run = runs[device]
    run.losses.push(news.loss)
    run.times.push(news.milliseconds)
    show(device, {
      state: `Step ${news.step}`,
      loss: news.loss.toFixed(3),
      time: `${median(run.times).toFixed(1)} ms`,
    })
    draw()
  }
}

/** Why there is no WebGPU here, or nothing. */
async function missing(): Promise<string | undefined> {
  if (!navigator.gpu) return 'This browser has no WebGPU'
  return (await navigator.gpu.requestAdapter()) ? undefined : 'This browser has WebGPU, but no adapter for it'
}
const reason = await missing()
if (reason !== undefined) {
  notice.textContent = `${reason}: training goes on WebAssembly alone.`
  notice.hidden = false
  show('webgpu', { state: `${reason}.` })
}
const usable = devices.filter((device) => device === 'wasm' || reason === undefined)

form.addEventListener('submit', (event) => {
  event.preventDefault()
  if (devices.some((device) => runs[device].worker !== undefined)) {
    for (const device of usable) if (runs[device].worker) end(device, 'Stopped.')
    return
  }
  button.textContent = 'Stop'
  for (const device of usable) {
    const run = runs[device]
    ;[run.losses, run.times] = [[], []]
    show(device, { state: 'Starting …', loss: '', time: '' })
    const order: Order = {
      device,
      task: field('task').value,
      optimizer: field('optimizer').value,
      wrapper: field('wrapper').value,
      schedule: field('schedule').value,
      learningRate: Number(field('learningRate').value),
      steps: Number(field('steps').value),
    }
    run.worker = new Worker('/worker.js', { type: 'module' })
    run.worker.onmessage = ({ data }: MessageEvent<News>) => hear(device, data)
    run.worker.onerror = ({ message }) => hear(device, { error: message })
    run.worker.postMessage(order)
  }
  draw()
})
button.disabled = false
