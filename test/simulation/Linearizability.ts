/**
 * Whether a history of concurrent operations could have happened one after the
 * other, each at one moment between its call and its return.
 *
 * Wing and Gong's search with Lowe's memoisation, by parts (P-compositionality)
 * as in Porcupine. Operations that ended are ordered by their return, so that a
 * configuration is: the first of them that is not yet placed, those after it
 * that are, the unknown ones that are, and the state. Two rules keep the search
 * small: an operation that fits and leaves the state as it is goes at once, and
 * an unknown operation is placed only where it changes something, since it may
 * as well never have happened.
 */

export interface Operation<Input, Output> {
  readonly input: Input
  /** When it was called, on any scale that all operations share. */
  readonly call: number
  /** When it returned; `Infinity` where the outcome is unknown: it may take effect at any time after its call. */
  readonly return: number
  /** `undefined` where the outcome is unknown. */
  readonly output: Output | undefined
}

/** What one object does when operations come one at a time. */
export interface Model<State, Input, Output> {
  readonly initial: State
  /** The state behind an operation, or `undefined` where it cannot have this output here. */
  readonly step: (state: State, input: Input, output: Output | undefined) => State | undefined
  /** Equal for equal states only. */
  readonly key: (state: State) => string
  /** Operations of different parts do not touch each other. */
  readonly partition?: (input: Input) => string
}

export type Verdict<Input, Output> =
  | { readonly _tag: "Linearizable"; readonly configurations: number }
  | { readonly _tag: "Undecided"; readonly configurations: number }
  | {
    readonly _tag: "Illegal"
    readonly configurations: number
    readonly part: string
    /** The operation that the longest legal order could not place. */
    readonly stuck: Operation<Input, Output>
    /** That order. */
    readonly order: ReadonlyArray<Operation<Input, Output>>
    /** The state behind it. */
    readonly state: string
  }

interface Configuration<State, Input, Output> {
  readonly low: number
  readonly placed: ReadonlyArray<number>
  readonly used: ReadonlyArray<number>
  readonly state: State
  readonly key: string
  readonly previous: Configuration<State, Input, Output> | undefined
  readonly operation: Operation<Input, Output> | undefined
}

const inserted = (sorted: ReadonlyArray<number>, value: number): ReadonlyArray<number> => {
  const next = [...sorted]
  let at = next.length
  while (at > 0 && (next[at - 1] ?? 0) > value) at--
  next.splice(at, 0, value)
  return next
}

/** For each operation: those that were called before it returned and did not return before it. */
const overlapping = (ended: ReadonlyArray<Operation<unknown, unknown>>): ReadonlyArray<ReadonlyArray<number>> => {
  const byCall = ended.map((_, index) => index).toSorted((a, b) => (ended[a]?.call ?? 0) - (ended[b]?.call ?? 0))
  let next = 0
  let active: ReadonlyArray<number> = []
  return ended.map((operation, low) => {
    const open = active.filter((index) => index >= low)
    for (;;) {
      const candidate = byCall[next]
      if (candidate === undefined || (ended[candidate]?.call ?? 0) >= operation.return) break
      open.push(candidate)
      next++
    }
    active = open
    return open
  })
}

const checkPart = <State, Input, Output>(
  part: string,
  operations: ReadonlyArray<Operation<Input, Output>>,
  model: Model<State, Input, Output>,
  budget: number
): Verdict<Input, Output> => {
  const ended = operations.filter((operation) => operation.return !== Infinity).toSorted((a, b) => a.return - b.return)
  const unknown = operations.filter((operation) => operation.return === Infinity).toSorted((a, b) => a.call - b.call)
  const candidates = overlapping(ended)
  type Node = Configuration<State, Input, Output>
  const first: Node = {
    low: 0,
    placed: [],
    used: [],
    state: model.initial,
    key: model.key(model.initial),
    previous: undefined,
    operation: undefined
  }
  const seen = new Set<string>()
  const stack = [first]
  let longest = first
  let configurations = 0
  for (let current = stack.pop(); current !== undefined; current = stack.pop()) {
    const { key, low, placed, used } = current
    const lowest = ended[low]
    if (lowest === undefined) return { _tag: "Linearizable", configurations }
    if (++configurations > budget) return { _tag: "Undecided", configurations }
    if (low + placed.length > longest.low + longest.placed.length) longest = current
    let next: Array<Node> = []
    let free = false
    for (const index of candidates[low] ?? []) {
      const operation = ended[index]
      if (operation === undefined || placed.includes(index)) continue
      const state = model.step(current.state, operation.input, operation.output)
      if (state === undefined) continue
      const behind = model.key(state)
      let lowBehind = low
      let placedBehind: ReadonlyArray<number> = placed
      if (index === low) {
        lowBehind++
        while (placedBehind[0] === lowBehind) {
          placedBehind = placedBehind.slice(1)
          lowBehind++
        }
      } else {
        placedBehind = inserted(placed, index)
      }
      const node = { low: lowBehind, placed: placedBehind, used, state, key: behind, previous: current, operation }
      if (behind === key) {
        next = [node]
        free = true
        break
      }
      next.push(node)
    }
    if (!free) {
      for (let index = 0; index < unknown.length; index++) {
        const operation = unknown[index]
        if (operation === undefined || operation.call >= lowest.return) break
        if (used.includes(index)) continue
        const state = model.step(current.state, operation.input, undefined)
        if (state === undefined) continue
        const behind = model.key(state)
        if (behind === key) continue
        next.push({ low, placed, used: inserted(used, index), state, key: behind, previous: current, operation })
      }
    }
    // Those that returned first are tried first.
    for (let index = next.length - 1; index >= 0; index--) {
      const node = next[index]
      if (node === undefined) continue
      const id = `${node.low};${node.placed.join()};${node.used.join()};${node.key}`
      if (seen.has(id)) continue
      seen.add(id)
      stack.push(node)
    }
  }
  const order: Array<Operation<Input, Output>> = []
  for (let at: Node | undefined = longest; at?.operation !== undefined; at = at.previous) order.push(at.operation)
  const stuck = ended[longest.low]
  if (stuck === undefined) return { _tag: "Linearizable", configurations }
  return { _tag: "Illegal", configurations, part, stuck, order: order.toReversed(), state: longest.key }
}

/** Gives up as `Undecided` beyond `budget` configurations of one part. */
export const check = <State, Input, Output>(
  history: ReadonlyArray<Operation<Input, Output>>,
  model: Model<State, Input, Output>,
  budget = 2_000_000
): Verdict<Input, Output> => {
  const parts = new Map<string, Array<Operation<Input, Output>>>()
  for (const operation of history) {
    const part = model.partition?.(operation.input) ?? ""
    const known = parts.get(part)
    if (known === undefined) parts.set(part, [operation])
    else known.push(operation)
  }
  // Small budgets over all parts first: one easy contradiction spares the search of a hard part.
  let open = [...parts]
  let configurations = 0
  for (const allowance of [20_000, 400_000, budget]) {
    const left: typeof open = []
    for (const [part, operations] of open) {
      const verdict = checkPart(part, operations, model, Math.min(allowance, budget))
      configurations += verdict.configurations
      if (verdict._tag === "Illegal") return { ...verdict, configurations }
      if (verdict._tag === "Undecided") left.push([part, operations])
    }
    open = left
  }
  return { _tag: open.length === 0 ? "Linearizable" : "Undecided", configurations }
}
