/**
 * A queue of bytes with priorities, as kazoo's `Queue` or Curator's
 * `SimpleDistributedQueue` keep it: all of them can share one path.
 *
 * **Guarantee.** An item that was offered is given to exactly one taker. A lost
 * reply neither doubles nor loses one: where a session expired between a request
 * and its answer, `offer` fails with outcome `Unknown`, and a take with
 * {@link ItemInDoubt}, which carries the item. A take that is interrupted leaves
 * the item in the queue, or puts it back in its old place; so does an effect that
 * {@link Queue.process} runs and that fails. What is not protected is the item in
 * the hands of a taker that dies, or whose take is interrupted while its removal
 * is unanswered and whose session ends before it is: use `LockingQueue` where
 * that matters.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 * import * as Queue from "effect-zookeeper/recipe/Queue"
 *
 * export const program = Effect.scoped(Effect.gen(function*() {
 *   const queue = yield* Queue.make("/mails")
 *   yield* queue.offer("to: bob")
 *   yield* queue.offer("to: the boss", { priority: 1 })
 *   const items = yield* Stream.runCollect(Stream.take(queue.stream, 2))
 *   return items.map((item) => new TextDecoder().decode(item)) // => ["to: the boss", "to: bob"]
 * }))
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type Data, type OperationError, ZooKeeper } from "../ZooKeeper.ts"
import { BadArguments, type NoAuth } from "../ZooKeeperError.ts"
import * as Items from "./internal/Items.ts"

/**
 * The removal of an item got no answer and its session has ended: either the
 * item is ours, or another taker has it. The error carries it.
 *
 * @category errors
 * @since 0.1.0
 */
export const ItemInDoubt = Items.ItemInDoubt

/**
 * The removal of an item got no answer and its session has ended: either the
 * item is ours, or another taker has it. The error carries it.
 *
 * @category errors
 * @since 0.1.0
 */
export type ItemInDoubt = Items.ItemInDoubt

/**
 * The effect that `process` ran has failed, and the item could not be put back
 * into the queue. The error carries it; its `cause` says why. Offer it again,
 * unless the cause is a `ConnectionError` with outcome `Unknown` and twice is
 * worse than never.
 *
 * @category errors
 * @since 0.1.0
 */
export const ItemNotPutBack = Items.ItemNotPutBack

/**
 * The effect that `process` ran has failed, and the item could not be put back
 * into the queue. The error carries it; its `cause` says why.
 *
 * @category errors
 * @since 0.1.0
 */
export type ItemNotPutBack = Items.ItemNotPutBack

/**
 * What an offer can fail with. Nothing was added then, unless it is a
 * `ConnectionError` with outcome `Unknown`.
 *
 * @category errors
 * @since 0.1.0
 */
export type OfferError = Items.OfferError

/**
 * What a take can fail with. Nothing was taken then, unless it is
 * {@link ItemInDoubt}. `SequenceExhausted`: the server's numbers have wrapped and
 * no longer tell the order; nothing is taken any more.
 *
 * @category errors
 * @since 0.1.0
 */
export type TakeError = Items.TakeError

/**
 * Options of an offer.
 *
 * @category models
 * @since 0.1.0
 */
export interface OfferOptions {
  /** 0 to 999, the smallest first; not with Curator's layout. @default 100 */
  readonly priority?: number | undefined
}

/**
 * A queue.
 *
 * @category models
 * @since 0.1.0
 */
export interface Queue {
  readonly path: string
  /** Adds an item: a string is stored as UTF-8. */
  readonly offer: (item: Data, options?: OfferOptions) => Effect.Effect<void, OfferError>
  /** Adds items one behind the other, all or none, in one transaction of `maxRequestSize` at most. */
  readonly offerAll: (items: ReadonlyArray<Data>, options?: OfferOptions) => Effect.Effect<void, OfferError>
  /** Takes the first item, if there is one. */
  readonly poll: Effect.Effect<Option.Option<Uint8Array>, TakeError>
  /**
   * Takes the first item; waits for one, over reconnects and new sessions. Give
   * it a deadline with `Effect.timeout`: an interrupted take puts back what it
   * has taken, as long as its session lives.
   */
  readonly take: Effect.Effect<Uint8Array, TakeError>
  /** Takes one item after the other, each when it is asked for. */
  readonly stream: Stream.Stream<Uint8Array, TakeError>
  /**
   * Takes an item for an effect. Where that fails, dies or is interrupted, the
   * item is put back to its old place: its priority and its turn are kept, and it
   * is the first again at once. So pause before the next try, with
   * `Effect.retry` and a `Schedule`, and count the tries: this layout has no place
   * for their number, `LockingQueue` has. While the effect runs the
   * item is in this process only, and a crash loses it.
   */
  readonly process: <A, E, R>(
    f: (item: Uint8Array) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | TakeError | ItemNotPutBack, R>
  /** How many items there are. */
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
   * - `"kazoo"`: `entry-PPP-<10 digits>`, PPP the priority; every child counts
   *   as an item
   * - `"curator"`: `qn-<10 digits>`, as `SimpleDistributedQueue`; other children
   *   are left alone
   *
   * @default "kazoo"
   */
  readonly layout?: "kazoo" | "curator" | undefined
}

const layouts = {
  kazoo: {
    prefix: /^entry-\d{3}-/,
    ready: (children: ReadonlyArray<string>) => ({ names: Items.inOrder(children) })
  },
  curator: {
    prefix: /^qn-/,
    ready: (children: ReadonlyArray<string>) => ({
      names: Items.inOrder(children.filter((name) => name.startsWith("qn-")))
    })
  }
}

/**
 * The prefix that kazoo gives to items of a priority, or what is wrong with it.
 */
const prefixFor = (layout: "kazoo" | "curator", priority: number | undefined): Effect.Effect<string, BadArguments> =>
  layout === "curator"
    ? priority === undefined
      ? Effect.succeed("qn-")
      : Effect.fail(refuse(priority, "Curator's SimpleDistributedQueue has no priorities; see DistributedQueue"))
    : Items.kazooPrefix(priority)

const refuse = (priority: number, problem: string): BadArguments =>
  new BadArguments({ argument: "priority", value: String(priority), problem })

/**
 * The queue at a path, which is created by the first use. Fails with
 * `BadArguments` where the path is malformed or the root.
 *
 * Offers and takes are transactions that write an ephemeral znode of this
 * queue's own as well, `<path>-__ledger__-<32 hex digits>` beside the path,
 * which is what makes the outcome of a lost reply known; it is removed with the
 * scope. A client that may not create it does without, and its lost replies are
 * `Unknown`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  path: string,
  { layout = "kazoo" }: Options = {}
): Effect.fn.Return<Queue, BadArguments, ZooKeeper | Scope.Scope> {
  const zk = yield* ZooKeeper
  const items = yield* Items.make(zk, { path, ...layouts[layout] })
  const offerAll: Queue["offerAll"] = (all, options) =>
    Effect.flatMap(prefixFor(layout, options?.priority), (prefix) => items.offer(all.map((data) => ({ prefix, data }))))
  const take = Effect.map(items.take, ({ data }) => data)
  return {
    path,
    offer: (item, options) => offerAll([item], options),
    offerAll,
    poll: Effect.map(items.poll, Option.map(({ data }) => data)),
    take,
    stream: Stream.fromEffectRepeat(take),
    process: (f) => items.process(({ data }) => f(data)),
    size: items.size
  }
})
