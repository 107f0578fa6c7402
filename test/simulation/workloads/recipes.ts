/** Workloads of recipes, each to be run by its name. */
import type { Workload } from "../Simulation.ts"
import { lockWorkload } from "./lock.ts"

export const recipes: ReadonlyArray<Workload> = [lockWorkload]
