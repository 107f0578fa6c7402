/**
 * A number that many clients change, each change made exactly once.
 *
 * The number is the data of one znode, as kazoo's `Counter` or Curator's
 * `SharedCount`, `DistributedAtomicInteger` and `DistributedAtomicLong` keep it:
 * all of them can count on one path.
 *
 * **Guarantee.** A change that succeeds was made once, one that fails was not
 * made, also over lost replies and other clients making the same change at the
 * same time. The one exception says so itself: a `ConnectionError` with outcome
 * `Unknown`, which is only possible when the session expired between the request
 * and its answer, or when ACLs forbid this client to create ephemeral znodes
 * beside the path (they carry the proof, see {@link make}). After interruption a
 * change may or may not have been made.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Counter from "effect-zookeeper/recipe/Counter"
 *
 * export const visits = Effect.scoped(Effect.gen(function*() {
 *   const counter = yield* Counter.make("/visits")
 *   const { after } = yield* counter.add(2n)
 *   return after
 * }))
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as Telemetry from "../client/Telemetry.ts"
import * as Transaction from "../Transaction.ts"
import type { Znode } from "../Znode.ts"
import * as ZnodePath from "../ZnodePath.ts"
import { type CreateError, type OperationError, ZooKeeper } from "../ZooKeeper.ts"
import {
  type BadArguments,
  type ConnectionError,
  type InvalidAcl,
  type NoAuth,
  type NoChildrenForEphemerals,
  NoNode,
  type QuotaExceeded
} from "../ZooKeeperError.ts"
import * as Ledger from "./internal/Ledger.ts"
import * as PythonNumber from "./internal/PythonNumber.ts"
import { isUnknown, repeating, retrying } from "./internal/Retrying.ts"

const TypeId = "~effect-zookeeper/recipe/Counter"

/**
 * The znode's data is no number of the counter's encoding. Whoever wrote it uses
 * another one.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotACounter extends Schema.TaggedError<NotACounter>(`${TypeId}/NotACounter`)("NotACounter", {
  path: Schema.String,
  /** What is wrong with the data. */
  problem: Schema.String
}) {
  override get message() {
    return `${this.path} holds no counter of this encoding: ${this.problem}`
  }
}

/**
 * The new value does not fit into the encoding. Nothing was changed.
 *
 * @category errors
 * @since 0.1.0
 */
export class CounterOverflow extends Schema.TaggedError<CounterOverflow>(`${TypeId}/CounterOverflow`)(
  "CounterOverflow",
  {
    path: Schema.String,
    /** The value that does not fit. */
    value: Schema.String,
    problem: Schema.String
  }
) {
  override get message() {
    return `${this.value} does not fit into the counter ${this.path}: ${this.problem}`
  }
}

/**
 * What reading a counter can fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type ReadError = NotACounter | NoAuth | OperationError

/**
 * What changing a counter can fail with. `NoNode`, `InvalidAcl` and
 * `NoChildrenForEphemerals` are about creating the znode.
 *
 * @category errors
 * @since 0.1.0
 */
export type ChangeError =
  | CounterOverflow
  | ReadError
  | NoNode
  | QuotaExceeded
  | InvalidAcl
  | NoChildrenForEphemerals

/**
 * How a number is kept in a znode.
 *
 * @category models
 * @since 0.1.0
 */
export interface Encoding<A> {
  readonly zero: A
  readonly one: A
  readonly add: (left: A, right: A) => A
  readonly negate: (value: A) => A
  /** The bytes, or why there are none. */
  readonly encode: (value: A) => Result.Result<Uint8Array, string>
  /** The number, or what is wrong with the bytes, which are not empty. */
  readonly decode: (bytes: Uint8Array) => Result.Result<A, string>
}

const encoder = new TextEncoder()

const ascii = new TextDecoder()

const shown = (text: string): string => JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text)

const bigints = {
  zero: 0n,
  one: 1n,
  add: (left: bigint, right: bigint): bigint => left + right,
  negate: (value: bigint): bigint => -value
}

const numbers = {
  zero: 0,
  one: 1,
  add: (left: number, right: number): number => left + right,
  negate: (value: number): number => 0 - value
}

/**
 * A whole number of any size in decimal digits, as kazoo's `Counter` keeps it.
 *
 * @category encodings
 * @since 0.1.0
 */
export const integer: Encoding<bigint> = {
  ...bigints,
  encode: (value) => Result.succeed(encoder.encode(String(value))),
  decode: (bytes) => {
    const text = ascii.decode(bytes)
    const value = PythonNumber.parseInteger(text)
    return value === undefined ? Result.fail(`${shown(text)} is no whole number`) : Result.succeed(value)
  }
}

/**
 * A floating-point number in the notation of Python's `repr`, as kazoo's
 * `Counter(path, default=0.0)` keeps it.
 *
 * @category encodings
 * @since 0.1.0
 */
export const float: Encoding<number> = {
  ...numbers,
  encode: (value) => Result.succeed(encoder.encode(PythonNumber.showFloat(value))),
  decode: (bytes) => {
    const text = ascii.decode(bytes)
    const value = PythonNumber.parseFloat(text)
    return value === undefined ? Result.fail(`${shown(text)} is no number`) : Result.succeed(value)
  }
}

/**
 * 4 bytes, big-endian and signed: Curator's `SharedCount` and
 * `DistributedAtomicInteger`, kazoo's `Counter(path, support_curator=True)`.
 *
 * @category encodings
 * @since 0.1.0
 */
export const int32: Encoding<number> = {
  ...numbers,
  encode: (value) => {
    if ((value | 0) !== value) return Result.fail("it is no whole number from -2147483648 to 2147483647")
    const bytes = new Uint8Array(4)
    new DataView(bytes.buffer).setInt32(0, value)
    return Result.succeed(bytes)
  },
  decode: (bytes) =>
    bytes.length === 4
      ? Result.succeed(new DataView(bytes.buffer, bytes.byteOffset).getInt32(0))
      : Result.fail(`it has ${bytes.length} bytes, not 4`)
}

/**
 * 8 bytes, big-endian and signed: Curator's `DistributedAtomicLong`.
 *
 * @category encodings
 * @since 0.1.0
 */
export const int64: Encoding<bigint> = {
  ...bigints,
  encode: (value) => {
    if (BigInt.asIntN(64, value) !== value) return Result.fail("it does not fit into 64 bits")
    const bytes = new Uint8Array(8)
    new DataView(bytes.buffer).setBigInt64(0, value)
    return Result.succeed(bytes)
  },
  decode: (bytes) =>
    bytes.length === 8
      ? Result.succeed(new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(0))
      : Result.fail(`it has ${bytes.length} bytes, not 8`)
}

/**
 * A change that was made: kazoo's `pre_value` and `post_value`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Change<A> {
  readonly before: A
  readonly after: A
}

/**
 * A counter.
 *
 * @category models
 * @since 0.1.0
 */
export interface Counter<A> {
  readonly path: string
  /** The number now; the initial one where there is no znode, or an empty one. */
  readonly value: Effect.Effect<A, ReadError>
  /** The number now, then whenever it is another one; steps may collapse, the last is never lost. */
  readonly changes: Stream.Stream<A, ReadError>
  /** Adds one. */
  readonly increment: Effect.Effect<Change<A>, ChangeError>
  /** Takes one away. */
  readonly decrement: Effect.Effect<Change<A>, ChangeError>
  /** Adds a number, which may be negative. */
  readonly add: (delta: A) => Effect.Effect<Change<A>, ChangeError>
  /** Replaces the number by what is computed from it. The function runs again when another client was faster. */
  readonly update: <E = never, R = never>(
    f: (value: A) => A | Effect.Effect<A, E, R>
  ) => Effect.Effect<Change<A>, ChangeError | E, R>
  /** Replaces the number, whatever it is. */
  readonly set: (value: A) => Effect.Effect<Change<A>, ChangeError>
  /** Replaces the number if it is the expected one, and tells whether. */
  readonly compareAndSet: (expected: A, next: A) => Effect.Effect<boolean, ChangeError>
}

/**
 * Options of a counter.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<A> {
  /** @default integer */
  readonly encoding: Encoding<A>
  /** What a missing or empty znode counts as: kazoo's `default`. @default 0 */
  readonly initial?: A | undefined
}

/** A write of which nobody knows whether it was made: its session, and the proof with it, has ended. */
interface Suspect {
  readonly error: ConnectionError
  readonly before: Znode
  readonly data: Uint8Array
}

const isSame = (left: Uint8Array, right: Uint8Array): boolean =>
  left.length === right.length && left.every((byte, index) => byte === right[index])

/** What the znode says about a suspected write: it lost, it may still come and then compete with ours, or nobody knows. */
const judge = ({ before, data }: Suspect, now: Znode): "lost" | "open" | "unknown" =>
  now.stat.czxid !== before.stat.czxid
    ? "unknown"
    : now.stat.mzxid === before.stat.mzxid
    ? "open"
    : now.stat.version === (before.stat.version + 1 | 0) && !isSame(now.data, data)
    ? "lost"
    : "unknown"

/**
 * The counter at a path. Nothing is sent before it is used; the znode is created
 * by the first change, and never removed. Fails with `BadArguments` where the path
 * is malformed.
 *
 * Each change is a transaction that writes an ephemeral znode of this counter's
 * own as well, `<path>-__ledger__-<32 hex digits>`, which is what makes the
 * outcome of a lost reply known. It is removed with the scope. Changes through
 * one `Counter` go one after the other; those of many clients compete by the
 * znode's version, and one of them always succeeds.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: {
  (path: string): Effect.Effect<Counter<bigint>, BadArguments, ZooKeeper | Scope.Scope>
  <A>(path: string, options: Options<A>): Effect.Effect<Counter<A>, BadArguments, ZooKeeper | Scope.Scope>
} = (
  path: string,
  options: Options<any> = { encoding: integer }
): Effect.Effect<Counter<any>, BadArguments, ZooKeeper | Scope.Scope> => of(path, options)

const of = Effect.fnUntraced(function*<A>(
  path: string,
  { encoding, initial = encoding.zero }: Options<A>
): Effect.fn.Return<Counter<A>, BadArguments, ZooKeeper | Scope.Scope> {
  const zk = yield* ZooKeeper
  yield* ZnodePath.validate(path)
  const ledger = yield* Ledger.make(zk, path)
  const turn = Semaphore.makeUnsafe(1)

  const decode = (data: Uint8Array): Effect.Effect<A, NotACounter> =>
    data.length === 0
      ? Effect.succeed(initial)
      : Result.match(encoding.decode(data), {
        onSuccess: Effect.succeed,
        onFailure: (problem) => Effect.fail(new NotACounter({ path, problem }))
      })

  const encode = (value: A): Effect.Effect<Uint8Array, CounterOverflow> =>
    Result.match(encoding.encode(value), {
      onSuccess: Effect.succeed,
      onFailure: (problem) => Effect.fail(new CounterOverflow({ path, value: String(value), problem }))
    })

  const current: Effect.Effect<Znode, Exclude<CreateError, { readonly _tag: "NodeExists" }>> = Effect.suspend(() =>
    Effect.catchTag(
      retrying(zk, zk.get(path)),
      "NoNode",
      () => Effect.andThen(repeating(zk, zk.ensurePath(path)), current)
    )
  )

  const write = (
    before: Znode,
    data: Uint8Array
  ): Effect.Effect<"written" | "overtaken" | ConnectionError, ChangeError> =>
    retrying(zk, ledger.commit([Transaction.set(path, data, before.stat.version)])).pipe(
      Effect.as("written" as const),
      Effect.catchTag("TransactionFailed", ({ error }): Effect.Effect<"overtaken", ChangeError> => {
        switch (error._tag) {
          case "BadVersion":
          case "NoNode":
            return Effect.succeed("overtaken")
          case "NodeExists":
          case "NotEmpty":
            return Effect.die(error)
          default:
            return Effect.fail(error)
        }
      }),
      Effect.catchIf(isUnknown, (error) => Effect.succeed(error))
    )

  const update: Counter<A>["update"] = <E, R>(
    f: (value: A) => A | Effect.Effect<A, E, R>
  ): Effect.Effect<Change<A>, ChangeError | E, R> =>
    turn.withPermit(Effect.gen(function*() {
      let suspect: Suspect | undefined
      while (true) {
        if (suspect !== undefined) yield* repeating(zk, zk.sync(path))
        const znode = yield* current
        if (suspect !== undefined) {
          const verdict = judge(suspect, znode)
          if (verdict === "unknown") return yield* suspect.error
          if (verdict === "lost") suspect = undefined
        }
        const before = yield* decode(znode.data)
        const computed = f(before)
        const after = Effect.isEffect(computed) ? yield* computed : computed
        const data = yield* encode(after)
        const outcome = yield* write(znode, data)
        if (outcome === "written") return { before, after }
        if (outcome !== "overtaken") suspect ??= { error: outcome, before: znode, data }
      }
    })).pipe(Telemetry.phase("count", path))

  const add = (delta: A) => update((value) => encoding.add(value, delta))

  return {
    path,
    value: Effect.flatMap(
      Effect.map(Effect.catchTag(retrying(zk, zk.get(path)), "NoNode", () => Effect.undefined), (znode) =>
        znode?.data ?? new Uint8Array(0)),
      decode
    ),
    changes: zk.changes(path).pipe(
      Stream.mapEffect(Option.match({
        onNone: () => Effect.succeed(initial),
        onSome: ({ data }) => decode(data)
      })),
      Stream.changesWith(Object.is)
    ),
    increment: add(encoding.one),
    decrement: add(encoding.negate(encoding.one)),
    add,
    update,
    set: (value) => update(() => value),
    compareAndSet: (expected, next) =>
      update((value) => Object.is(value, expected) ? Effect.succeed(next) : Effect.fail("other" as const)).pipe(
        Effect.as(true),
        Effect.catchIf((error): error is "other" => error === "other", () => Effect.succeed(false))
      )
  }
})
