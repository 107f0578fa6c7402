import type { Workload } from "../Simulation.ts"
import { cachesWorkload } from "./caches.ts"
import { counterWorkload } from "./counter.ts"
import { presentWorkload } from "./present.ts"
import { recipes } from "./recipes.ts"
import { protectedWorkload } from "./protected.ts"
import { watchesWorkload } from "./watches.ts"
import { sessionsWorkload } from "./sessions.ts"
import { registerWorkload } from "./register.ts"

/** Of the client itself, and of what is built on it without a lock. */
export const workloads: ReadonlyArray<Workload> = [
  registerWorkload,
  counterWorkload,
  protectedWorkload,
  watchesWorkload,
  sessionsWorkload,
  cachesWorkload,
  presentWorkload
]

const all: ReadonlyArray<Workload> = [...workloads, ...recipes]

/** A seed without a workload takes the one that it falls on. */
export const workloadOf = (seed: number, name?: string): Workload => {
  const found = name === undefined
    ? all[seed % all.length]
    : all.find((workload) => workload.name === name)
  if (found === undefined) {
    throw new Error(`no workload ${name}: there are ${all.map((workload) => workload.name).join(", ")}`)
  }
  return found
}
