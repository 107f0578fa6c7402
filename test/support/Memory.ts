/** How much memory is alive in this process. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

const counted = (): number => {
  collect()
  const { external, heapUsed } = process.memoryUsage()
  return heapUsed + external
}

/** In bytes, with what Node keeps outside of the heap. What one collection frees there, only the next one has counted out. */
export const alive = (): number => {
  collect()
  return counted()
}

/** By how many bytes that has grown; counted with care only where it looks like more than `most`. */
export const grownSince = (before: number, most: number): number => {
  const grown = counted() - before
  return grown < most ? grown : alive() - before
}
