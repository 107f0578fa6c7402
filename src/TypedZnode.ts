/**
 * A znode whose data goes through a Schema: the everyday way to keep a value in
 * ZooKeeper.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import * as TypedZnode from "effect-zookeeper/TypedZnode"
 *
 * const limits = TypedZnode.make("/app/limits", Schema.Struct({
 *   connections: Schema.Int,
 *   until: Schema.Date
 * }))
 *
 * export const raise = Effect.gen(function*() {
 *   const { value } = yield* limits.get
 *   yield* limits.update((now) => ({ ...now, connections: now.connections + 1 }))
 *   return value.until
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as Stream from "effect/Stream"
import type { CreateOptions, Stat, Znode } from "./Znode.ts"
import { type CreateError, type OperationError, ZooKeeper } from "./ZooKeeper.ts"
import { type BadVersion, InvalidData, type NoAuth, type NoNode, type QuotaExceeded } from "./ZooKeeperError.ts"

/**
 * A value, and the Stat of the znode that holds it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Versioned<A> {
  readonly value: A
  readonly stat: Stat
}

/**
 * A znode with a Schema. `R` is what the Schema needs.
 *
 * Every operation is that of the service, with the same guarantees, errors and
 * interruption. `InvalidData` says that the data that was read does not fit the
 * Schema, or that a value cannot be encoded by it; then nothing was sent.
 *
 * @category models
 * @since 0.1.0
 */
export interface TypedZnode<A, R = never> {
  readonly path: string
  /** The value. */
  readonly get: Effect.Effect<Versioned<A>, NoNode | NoAuth | InvalidData | OperationError, ZooKeeper | R>
  /** Creates the znode with a value, and returns its path. */
  readonly create: (value: A, options?: CreateOptions) => Effect.Effect<
    string,
    CreateError | InvalidData,
    ZooKeeper | R
  >
  /** Replaces the value, of the given version or (-1, the default) of any. */
  readonly set: (value: A, version?: number) => Effect.Effect<
    Stat,
    NoNode | NoAuth | BadVersion | QuotaExceeded | InvalidData | OperationError,
    ZooKeeper | R
  >
  /** Reads, computes and writes until nobody was faster; never writes twice. */
  readonly update: <E = never, R2 = never>(
    f: (value: A, stat: Stat) => A | Effect.Effect<A, E, R2>
  ) => Effect.Effect<
    Versioned<A>,
    E | NoNode | NoAuth | QuotaExceeded | InvalidData | OperationError,
    ZooKeeper | R | R2
  >
  /** The value now, then whenever it has changed; `None` while there is no znode. Data that does not fit ends it. */
  readonly changes: Stream.Stream<Option.Option<Versioned<A>>, NoAuth | InvalidData | OperationError, ZooKeeper | R>
  /** {@link TypedZnode.changes}, with data that does not fit as an element: what follows is not missed. */
  readonly results: Stream.Stream<
    Result.Result<Option.Option<Versioned<A>>, InvalidData>,
    NoAuth | OperationError,
    ZooKeeper | R
  >
}

const bytesOfText = (text: string): Uint8Array => new TextEncoder().encode(text)

/** UTF-8, strictly: other bytes are not replaced by question marks. */
const text = Schema.Uint8Array.pipe(Schema.decodeTo(
  Schema.String,
  SchemaTransformation.transformEffect({
    decode: (bytes: Uint8Array) =>
      Effect.try({
        try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
        catch: () => new SchemaIssue.InvalidValue({ input: Option.some(bytes), message: "must be UTF-8" })
      }),
    encode: (string: string) => Effect.succeed(bytesOfText(string))
  })
))

/**
 * A codec to the bytes of a JSON text, in the form that the Schema has in JSON:
 * a `Date` is a string, for instance. Usable for recipes that take bytes.
 *
 * @example
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as TypedZnode from "effect-zookeeper/TypedZnode"
 *
 * const codec = TypedZnode.json(Schema.Struct({ until: Schema.Date }))
 * const bytes = Schema.encodeSync(codec)({ until: new Date(0) })
 *
 * new TextDecoder().decode(bytes) // => '{"until":"1970-01-01T00:00:00.000Z"}'
 * ```
 *
 * @category schemas
 * @since 0.1.0
 */
export const json = <A, I, RD, RE>(schema: Schema.Codec<A, I, RD, RE>): Schema.Codec<A, Uint8Array, RD, RE> =>
  text.pipe(Schema.decodeTo(Schema.fromJsonString(Schema.toCodecJson(schema))))

/**
 * A znode that holds bytes of another form than JSON, by a Schema that encodes
 * to them.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import * as Jute from "effect-zookeeper/jute/Jute"
 * import * as TypedZnode from "effect-zookeeper/TypedZnode"
 *
 * const version = TypedZnode.fromBytes("/version", Jute.toCodec(Schema.Struct({ major: Jute.Int, minor: Jute.Int })))
 *
 * export const program = Effect.gen(function*() {
 *   yield* version.create({ major: 3, minor: 8 })
 *   const { stat } = yield* version.get
 *   return stat.dataLength // => 8
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromBytes = <A, RD = never, RE = never>(
  path: string,
  schema: Schema.Codec<A, Uint8Array, RD, RE>
): TypedZnode<A, RD | RE> => {
  const decodeBytes = Schema.decodeEffect(schema)
  const encodeValue = Schema.encodeEffect(schema)
  const invalid = (error: Schema.SchemaError) => new InvalidData({ path, problem: error.message })
  const decode = ({ data, stat }: Znode) =>
    Effect.mapBoth(decodeBytes(data), { onSuccess: (value): Versioned<A> => ({ value, stat }), onFailure: invalid })
  const encode = (value: A) => Effect.mapError(encodeValue(value), invalid)
  const decodeOption = Option.match({
    onNone: () => Effect.succeedNone,
    onSome: (znode: Znode) => Effect.asSome(decode(znode))
  })
  const states = Stream.unwrap(ZooKeeper.useSync((zk) => zk.changes(path)))
  return {
    path,
    get: ZooKeeper.use((zk) => Effect.flatMap(zk.get(path), decode)),
    create: (value, options) =>
      ZooKeeper.use((zk) => Effect.flatMap(encode(value), (data) => zk.create(path, data, options))),
    set: (value, version) => ZooKeeper.use((zk) => Effect.flatMap(encode(value), (data) => zk.set(path, data, version))),
    update: (f) =>
      ZooKeeper.use((zk) =>
        Effect.flatMap(
          zk.update(path, (data, stat) =>
            Effect.gen(function*() {
              const { value } = yield* decode({ data, stat })
              const computed = f(value, stat)
              return yield* encode(Effect.isEffect(computed) ? yield* computed : computed)
            })),
          decode
        )
      ),
    changes: Stream.mapEffect(states, decodeOption),
    results: Stream.mapEffect(states, (state) => Effect.result(decodeOption(state)))
  }
}

/**
 * A znode that holds a value as JSON, UTF-8, in the form of {@link json}. Asks
 * nobody; the example is at the top of this module. Source: Curator's
 * `ModeledFramework`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <A, I, RD = never, RE = never>(
  path: string,
  schema: Schema.Codec<A, I, RD, RE>
): TypedZnode<A, RD | RE> => fromBytes(path, json(schema))
