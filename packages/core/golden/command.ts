/** `npm run golden -- DIR`: replays reference trajectories and says where the optimizers agree with them. */
import { runGolden } from './cli.ts'

process.exitCode = await runGolden(process.argv.slice(2), {
  output: (text) => process.stdout.write(text),
  error: (text) => process.stderr.write(text),
})
