/**
 * `npm run simulate -- --seeds 1000 --from 0 --workload register`
 */
import { parseArgs } from "node:util"
import { simulate } from "./Simulation.ts"
import { register } from "./workloads/register.ts"

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "0" },
    workload: { type: "string", default: "register" },
    trace: { type: "boolean", default: false }
  }
})
const from = Number(values.from)
const started = performance.now()
let failed = 0
let calls = 0
let frames = 0
for (let seed = from; seed < from + Number(values.seeds); seed++) {
  const result = simulate(seed, register, values.trace)
  const again = simulate(seed, register)
  if (values.trace) console.log(result.trace.join("\n"), result.statistics.faults)
  calls += result.statistics.calls
  frames += result.statistics.frames
  if (again.hash !== result.hash) console.log(seed, "differs", result.hash, again.hash)
  if (result.violations.length === 0) continue
  failed++
  console.log(seed, result.violations.slice(0, 3))
}
console.log({ failed, calls, frames, ms: Math.round(performance.now() - started) })
