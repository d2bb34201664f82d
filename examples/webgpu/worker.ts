import { createTrainer } from '@fallline/jax'
import { defaultDevice, init } from '@jax-js/jax'
import { optimizerOf } from './choices.ts'
import type { News, Order } from './messages.ts'
import { tasks } from './models.ts'

const tell = (news: News) => self.postMessage(news)

async function train(order: Order): Promise<void> {
  tell({ doing: 'Fetching the data …' })
  await init(order.device)
  defaultDevice(order.device)
  const task = await tasks[order.task]!()
  tell({ doing: 'Compiling …' })
  const trainer = await createTrainer(task.loss, optimizerOf(order), task.parameters())
  for (let step = 1; step <= order.steps; step++) {
    const start = performance.now()
    const loss = await trainer.step(...task.batch(step))
    const [value] = await loss.data()
    tell({ step, loss: value!, milliseconds: performance.now() - start })
  }
  tell({ finished: true })
  trainer.dispose()
}

self.onmessage = ({ data }: MessageEvent<Order>) => {
  train(data).catch((error: unknown) => tell({ error: error instanceof Error ? error.message : String(error) }))
}
