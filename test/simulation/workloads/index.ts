import type { Workload } from "../Simulation.ts"
import { cachesWorkload } from "./caches.ts"
import { counterWorkload } from "./counter.ts"
import { presentWorkload } from "./present.ts"
import { recipes } from "./recipes.ts"
import { protectedWorkload } from "./protected.ts"
import { watchesWorkload } from "./watches.ts"
import { sessionsWorkload } from "./sessions.ts"
import { registerWorkload } from "./register.ts"

/** A seed without a workload takes the one that it falls on. */
export const workloads: ReadonlyArray<Workload> = [
  registerWorkload,
  counterWorkload,
  protectedWorkload,
  watchesWorkload,
  sessionsWorkload,
  cachesWorkload,
  presentWorkload
]

export const workloadOf = (seed: number, name?: string): Workload => {
  const found = name === undefined
    ? workloads[seed % workloads.length]
    : [...workloads, ...recipes].find((workload) => workload.name === name)
  if (found === undefined) {
    throw new Error(`no workload ${name}: there are ${[...workloads, ...recipes].map((workload) => workload.name).join(", ")}`)
  }
  return found
}
