/**
 * Curator's `DistributedQueue`, `DistributedPriorityQueue` and
 * `DistributedDelayQueue`: their names and their encoding of items, so that Java
 * programs can be at the other end.
 *
 * **Guarantee.** That of `Queue`: an item is given to exactly one taker, and a
 * lost reply neither doubles nor loses it, where Curator does both. An entry whose
 * consumer fails keeps its priority, where Curator forgets it: run the consumer
 * with {@link DistributedQueue.process}. With `lockPath` items that a Curator
 * consumer is working on are left to it. Delays compare the clocks of the machine
 * that offers and the one that takes.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as DistributedQueue from "effect-zookeeper/recipe/DistributedQueue"
 *
 * export const later = Effect.scoped(Effect.gen(function*() {
 *   const queue = yield* DistributedQueue.make("/reminders", { order: "delay" })
 *   yield* queue.offer(["call bob"], { delay: "5 minutes" })
 *   const [reminder] = yield* queue.take
 *   return reminder
 * }))
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ZnodePath from "../ZnodePath.ts"
import { type Data, type OperationError, ZooKeeper } from "../ZooKeeper.ts"
import { BadArguments, type NoAuth } from "../ZooKeeperError.ts"
import * as Items from "./internal/Items.ts"
import type * as Queue from "./Queue.ts"

/**
 * A znode of the queue does not hold Curator's encoding. It was taken out of the
 * queue, and is here.
 *
 * @category errors
 * @since 0.1.0
 */
export class MalformedItem extends Schema.TaggedError<MalformedItem>(
  "~effect-zookeeper/recipe/DistributedQueue/MalformedItem"
)("MalformedItem", {
  path: Schema.String,
  data: Schema.Uint8Array,
  problem: Schema.String
}) {
  override get message() {
    return `${this.path} held no items in Curator's encoding: ${this.problem}`
  }
}

const version = 0x0001_0001
const itemFollows = 1
const noMore = 2

const encoder = new TextEncoder()

/**
 * The data of a znode that holds these items.
 *
 * @example
 * ```ts
 * import * as Result from "effect/Result"
 * import * as DistributedQueue from "effect-zookeeper/recipe/DistributedQueue"
 *
 * const data = DistributedQueue.encodeItems(["a", "b"])
 *
 * export const items = Result.map(DistributedQueue.decodeItems(data), (all) => all.length) // => Result.succeed(2)
 * ```
 *
 * @category encoding
 * @since 0.1.0
 */
export const encodeItems = (items: ReadonlyArray<Data>): Uint8Array => {
  const each = items.map((item) => typeof item === "string" ? encoder.encode(item) : item)
  const bytes = new Uint8Array(each.reduce((size, item) => size + 5 + item.length, 5))
  const view = new DataView(bytes.buffer)
  view.setInt32(0, version)
  let at = 4
  for (const item of each) {
    view.setUint8(at, itemFollows)
    view.setInt32(at + 1, item.length)
    bytes.set(item, at + 5)
    at += 5 + item.length
  }
  view.setUint8(at, noMore)
  return bytes
}

/**
 * The items that a znode's data holds, or what is wrong with it.
 *
 * @category encoding
 * @since 0.1.0
 */
export const decodeItems = (bytes: Uint8Array): Result.Result<ReadonlyArray<Uint8Array>, string> => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 5) return Result.fail(`it has ${bytes.length} bytes, the least is 5`)
  if (view.getInt32(0) !== version) return Result.fail("it does not begin with version 1.1")
  const items: Array<Uint8Array> = []
  let at = 4
  while (at < bytes.length) {
    const kind = view.getUint8(at)
    if (kind === noMore) return Result.succeed(items)
    if (kind !== itemFollows) return Result.fail(`there is byte ${kind} at ${at} in place of 1 or 2`)
    if (at + 5 > bytes.length) break
    const length = view.getInt32(at + 1)
    if (length < 0 || at + 5 + length > bytes.length) return Result.fail(`an item at ${at} is ${length} bytes long`)
    items.push(bytes.slice(at + 5, at + 5 + length))
    at += 5 + length
  }
  return Result.fail("it ends too early")
}

/**
 * Options of an offer.
 *
 * @category models
 * @since 0.1.0
 */
export interface OfferOptions {
  /** With order `"priority"`: 32 bits, the smallest first. @default 0 */
  readonly priority?: number | undefined
  /** With order `"delay"`: how long from now on nobody takes the items. @default none */
  readonly delay?: Duration.Input | undefined
  /** With order `"delay"`: until when nobody takes the items, in ms since the epoch. */
  readonly until?: number | undefined
}

/**
 * What a take can fail with. Nothing was taken then, unless it is `ItemInDoubt`
 * or {@link MalformedItem}.
 *
 * @category errors
 * @since 0.1.0
 */
export type TakeError = Queue.TakeError | MalformedItem

/**
 * A queue whose entries hold any number of items.
 *
 * @category models
 * @since 0.1.0
 */
export interface DistributedQueue {
  readonly path: string
  /** Adds one entry with these items, which are taken together. */
  readonly offer: (items: ReadonlyArray<Data>, options?: OfferOptions) => Effect.Effect<void, Queue.OfferError>
  /** Takes the items of the first entry that is due, if there is one. */
  readonly poll: Effect.Effect<Option.Option<ReadonlyArray<Uint8Array>>, TakeError>
  /** Takes the items of the first entry; waits for one to come, or to become due. */
  readonly take: Effect.Effect<ReadonlyArray<Uint8Array>, TakeError>
  /** Takes the items of one entry after the other, each when it is asked for. */
  readonly stream: Stream.Stream<ReadonlyArray<Uint8Array>, TakeError>
  /**
   * Takes an entry for an effect. Where that fails, dies or is interrupted, the
   * entry is put back to its old place: its priority and its turn are kept, and it
   * is the first again at once. So pause before the next try, with
   * `Effect.retry` and a `Schedule`, and count the tries: this layout has no place
   * for their number, `LockingQueue` has. What cannot be
   * decoded is not put back: it is in the `MalformedItem`. While the effect runs the
   * entry is in this process only, and a crash loses it.
   */
  readonly process: <A, E, R>(
    f: (items: ReadonlyArray<Uint8Array>) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | TakeError | Queue.ItemNotPutBack, R>
  /** How many entries there are, due or not. */
  readonly size: Effect.Effect<number, NoAuth | OperationError>
}

/**
 * Options of a queue.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * - `"arrival"`: `queue-<10 digits>`, `DistributedQueue`
   * - `"priority"`: `queue-<0 or 1><8 hex digits><10 digits>`, `DistributedPriorityQueue`
   * - `"delay"`: `queue-|<hex ms>|<10 digits>`, `DistributedDelayQueue`
   *
   * @default "arrival"
   */
  readonly order?: "arrival" | "priority" | "delay" | undefined
  /** Where Curator consumers with `lockPath` claim entries: those are left to them. @default none */
  readonly lockPath?: string | undefined
}

const prefixes = {
  arrival: /^queue-/,
  priority: /^queue-[01][0-9A-F]{8}/,
  delay: /^queue-\|[0-9A-F]+\|/
}

const refuse = (argument: string, value: unknown, problem: string): Effect.Effect<never, BadArguments> =>
  Effect.fail(new BadArguments({ argument, value: String(value), problem }))

const hex = (value: number, length = 0): string => value.toString(16).toUpperCase().padStart(length, "0")

const prefixFor = (
  order: NonNullable<Options["order"]>,
  { delay, priority, until }: OfferOptions
): Effect.Effect<string, BadArguments> => {
  if (order !== "priority" && priority !== undefined) {
    return refuse("priority", priority, `the order of this queue is ${order}`)
  }
  if (order !== "delay" && (delay !== undefined || until !== undefined)) {
    return refuse("delay", delay ?? until, `the order of this queue is ${order}`)
  }
  switch (order) {
    case "arrival":
      return Effect.succeed("queue-")
    case "priority": {
      const value = priority ?? 0
      return (value | 0) === value
        ? Effect.succeed(`queue-${value < 0 ? 0 : 1}${hex(value >>> 0, 8)}`)
        : refuse("priority", value, "must be a whole number of 32 bits")
    }
    case "delay":
      return Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const due = Math.ceil(until ?? now + (delay === undefined ? 0 : Duration.toMillis(delay)))
        // A Duration takes NaN for zero.
        return Number.isSafeInteger(due) && due >= 0 && !Number.isNaN(delay)
          ? Effect.succeed(`queue-|${hex(due)}|`)
          : refuse("delay", until ?? delay, "must end at a time that can be written down")
      })
  }
}

/** When an entry is due, in ms since the epoch; what Curator has requeued has no time, and is due. */
const dueTime = (name: string): number => {
  const [, digits] = /^queue-\|([0-9A-Fa-f]+)\|/.exec(name) ?? []
  return digits === undefined ? 0 : Number.parseInt(digits, 16)
}

/** Entries that are due, by time and then by number. */
const due = (children: ReadonlyArray<string>, now: number): Items.Ready => {
  const all = children
    .map((name) => ({ name, at: dueTime(name), number: name.slice(name.lastIndexOf("|") + 1) }))
    .toSorted((a, b) => a.at - b.at || (a.number < b.number ? -1 : 1))
  return {
    names: all.filter(({ at }) => at <= now).map(({ name }) => name),
    next: all.find(({ at }) => at > now)?.at
  }
}

/**
 * The queue at a path, which is created by the first use. Fails with
 * `BadArguments` where a path is malformed, or the queue's is the root.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  path: string,
  { lockPath, order = "arrival" }: Options = {}
): Effect.fn.Return<DistributedQueue, BadArguments, ZooKeeper | Scope.Scope> {
  const zk = yield* ZooKeeper
  if (lockPath !== undefined) yield* ZnodePath.validate(lockPath)
  const items = yield* Items.make(zk, {
    path,
    prefix: prefixes[order],
    ready: (children, now) => {
      const entries = children.filter((name) => name.startsWith("queue-"))
      return order === "delay" ? due(entries, now) : { names: Items.inOrder(entries) }
    },
    claims: lockPath
  })

  const decodedItem = ({ data, name }: Items.Item): Result.Result<ReadonlyArray<Uint8Array>, MalformedItem> =>
    Result.mapError(decodeItems(data), (problem) =>
      new MalformedItem({ path: ZnodePath.join(path, name), data, problem }))
  const decoded = (item: Items.Item) => Effect.fromResult(decodedItem(item))

  const take = Effect.flatMap(items.take, decoded)
  return {
    path,
    offer: (all, options = {}) =>
      Effect.flatMap(prefixFor(order, options), (prefix) => items.offer([{ prefix, data: encodeItems(all) }])),
    poll: Effect.flatMap(
      items.poll,
      Option.match({
        onNone: () => Effect.succeedNone,
        onSome: (item) => Effect.asSome(decoded(item))
      })
    ),
    take,
    stream: Stream.fromEffectRepeat(take),
    process: <A, E, R>(f: (items: ReadonlyArray<Uint8Array>) => Effect.Effect<A, E, R>) =>
      Effect.flatMap(
        // What cannot be decoded is done with.
        items.process((item): Effect.Effect<Result.Result<A, MalformedItem>, E, R> =>
          Result.match(decodedItem(item), {
            onSuccess: (all) => Effect.map(f(all), Result.succeed),
            onFailure: (error) => Effect.succeed(Result.fail(error))
          })
        ),
        Effect.fromResult
      ),
    size: items.size
  }
})
