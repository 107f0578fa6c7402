/**
 * ```
 * npm run simulate -- --seeds 1000 --from 0                all workloads in turn
 * npm run simulate -- --seeds 1000 --workload register
 * npm run simulate -- --from 17 --seeds 1 --trace
 * npm run simulate -- --workload lock --duration 4000      ms with faults
 * npm run simulate -- --workload lock --clients 8
 * npm run simulate -- --planted
 * ```
 */
import { parseArgs } from "node:util"
import { bugs } from "./bugs.ts"
import { keptRecipes, keptWorkload } from "./keptRecipes.ts"
import { plant } from "./Planted.ts"
import { recipeBugs } from "./recipeBugs.ts"
import { commandFor, simulate, simulateTwice, type Workload } from "./Simulation.ts"
import { workloadOf } from "./workloads/index.ts"

const { values } = parseArgs({
  options: {
    seeds: { type: "string" },
    from: { type: "string", default: "0" },
    workload: { type: "string" },
    duration: { type: "string" },
    clients: { type: "string" },
    trace: { type: "boolean", default: false },
    planted: { type: "boolean", default: false },
    bug: { type: "string" }
  }
})

const from = Number(values.from)

const run = (count: number): number => {
  const started = performance.now()
  let failed = 0
  let calls = 0
  let frames = 0
  for (let seed = from; seed < from + count; seed++) {
    const workload = {
      ...workloadOf(seed, values.workload),
      ...values.duration === undefined ? {} : { duration: Number(values.duration) },
      ...values.clients === undefined ? {} : { clients: Number(values.clients) }
    }
    const { statistics, trace, violations } = simulateTwice(seed, workload, values.trace)
    if (values.trace) console.log(trace.join("\n"), statistics.faults)
    calls += statistics.calls
    frames += statistics.frames
    if (violations.length === 0) continue
    failed++
    console.log(`seed ${seed} of ${workload.name}; again: ${commandFor(seed, workload)}`)
    for (const { detail, property } of violations.slice(0, 4)) console.log(`  ${property}: ${detail}`)
  }
  const seconds = (performance.now() - started) / 1000
  console.log(`${count} seeds, each twice: ${failed} failed; ${calls} calls, ${frames} frames, ${seconds.toFixed(1)} s`)
  return failed
}

/** A bug is caught by a seed that finds nothing where there is no bug. */
const sound = (seed: number, workload: Workload): boolean =>
  simulate(seed, { ...workload, make: workloadOf(seed, workload.name).make }).violations.length === 0

const catchPlanted = async (most: number): Promise<number> => {
  const all = [...bugs, ...recipeBugs]
  plant(all)
  let escaped = 0
  for (const bug of all) {
    if (values.bug !== undefined && bug.name !== values.bug) continue
    const planted: typeof import("./Simulation.ts") = await import(`./Simulation.ts?planted=${bug.name}`)
    const programs: typeof import("./workloads/index.ts") = await import(`./workloads/index.ts?planted=${bug.name}`)
    const caughtBy = (seed: number, workload: Workload): string | undefined => {
      const [violation] = planted.simulate(seed, workload).violations
      return violation !== undefined && sound(seed, workload)
        ? `by seed ${seed} of ${workload.name}: ${violation.property}: ${violation.detail.slice(0, 140)}`
        : undefined
    }
    const report = (word: string, what: string) => console.log(`${word.padEnd(7)} ${bug.name.padEnd(34)} ${what}`)
    let caught: string | undefined
    // With every change of the client a seed becomes another run: where it has lost its bug, look for one that has it.
    for (const kept of keptRecipes.filter((each) => each.bug === bug.name)) {
      const found = caughtBy(kept.seed, keptWorkload(kept, programs.workloadOf))
      if (found === undefined) report("faded", `the kept seed ${kept.seed} of ${kept.workload} finds it no more`)
      caught ??= found
    }
    for (let seed = from; seed < from + most && caught === undefined; seed++) {
      caught = caughtBy(seed, programs.workloadOf(seed, values.workload ?? bug.workload))
    }
    if (caught === undefined) escaped++
    report(caught === undefined ? "ESCAPED" : "caught", caught ?? `in ${most} seeds`)
  }
  return escaped
}

const failed = values.planted ? await catchPlanted(Number(values.seeds ?? 200)) : run(Number(values.seeds ?? 1000))
process.exitCode = failed > 0 ? 1 : 0
