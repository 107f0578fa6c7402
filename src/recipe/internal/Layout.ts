/**
 * How the contenders under a path are named, so that kazoo and Curator can
 * queue among them.
 *
 * | layout | lock | write lock | read lock |
 * | --- | --- | --- | --- |
 * | kazoo | `<hex32>__lock__<seq10>` | the same | `<hex32>__rlock__<seq10>` |
 * | Curator | `_c_<uuid>-lock-<seq10>` | `_c_<uuid>-__WRIT__<seq10>` | `_c_<uuid>-__READ__<seq10>` |
 */
import * as Option from "effect/Option"
import * as ZnodePath from "../../ZnodePath.ts"

export type Layout = "kazoo" | "curator"

/** Curator's `LeaderLatch` has a marker of its own. */
export const latch = "latch-"

/** What makes the name of a znode unique. */
export const prefix = (layout: Layout, uuid: string): string =>
  layout === "kazoo" ? uuid.replaceAll("-", "") : `_c_${uuid}-`

export const markers = {
  kazoo: { lock: "__lock__", write: "__lock__", read: "__rlock__" },
  curator: { lock: "lock-", write: "__WRIT__", read: "__READ__" }
} as const

export interface Contender {
  readonly name: string
  /** Which of the markers is in its name. */
  readonly marker: string
  /** An int32; negative or at its end once the parent's counter is exhausted. */
  readonly sequence: number
}

const contenderOf = (name: string, known: ReadonlyArray<string>): Contender | undefined => {
  for (const marker of known) {
    const at = name.lastIndexOf(marker)
    if (at === -1) continue
    const sequence = ZnodePath.sequenceOf(name.slice(at), marker)
    if (Option.isSome(sequence)) return { name, marker, sequence: sequence.value }
  }
  return undefined
}

/** The contenders among the children, by arrival. */
export const contenders = (
  names: ReadonlyArray<string>,
  known: ReadonlyArray<string>
): ReadonlyArray<Contender> =>
  names.flatMap((name) => contenderOf(name, known) ?? []).toSorted((a, b) => a.sequence - b.sequence)
