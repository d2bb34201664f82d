import { createTrainer, type Trainer } from '@fallline/jax'
import { defaultDevice, init } from '@jax-js/jax'
import type { Optimizer } from 'fallline'
import { optimizerOf } from './choices.ts'
import type { News, Order } from './messages.ts'
import { type Parameters, type Task, tasks } from './models.ts'

const tell = (news: News) => self.postMessage(news)

type Batch = ReturnType<Task['batch']>

/** On the path for the device, or, for what has to be outside of a jitted function, with Fallline's own kernels. */
async function trainerFor(task: Task, optimizer: Optimizer): Promise<Trainer<Parameters, Batch>> {
  try {
    return await createTrainer(task.loss, optimizer, task.parameters())
  } catch {
    return createTrainer(task.loss, optimizer, task.parameters(), { path: 'fused' })
  }
}

async function train(order: Order): Promise<void> {
  tell({ doing: 'Fetching the data …' })
  await init(order.device)
  defaultDevice(order.device)
  const task = await tasks[order.task]!()
  tell({ doing: 'Compiling …' })
  const trainer = await trainerFor(task, optimizerOf(order))
  for (let step = 1; step <= order.steps; step++) {
    const start = performance.now()
    const loss = await trainer.step(...task.batch(step))
    const [value] = await loss.data()
    tell({ step, loss: value!, milliseconds: performance.now() - start, path: trainer.path })
  }
  tell({ finished: true })
  trainer.dispose()
}

self.onmessage = ({ data }: MessageEvent<Order>) => {
  train(data).catch((error: unknown) => tell({ error: error instanceof Error ? error.message : String(error) }))
}
