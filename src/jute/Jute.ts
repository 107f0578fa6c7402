/**
 * Jute, ZooKeeper's binary record format, as Schemas.
 *
 * A record is a `Schema.Struct` of the primitives below; its layout on the wire
 * is compiled once from the Schema's AST into closures. Two faces of the same
 * layout: {@link layoutOf} reads and writes directly and is what the connection
 * uses, {@link toCodec} is a `Schema.Codec` from bytes for everyone else.
 *
 * No length or count that a peer sends is believed before it is held against
 * the bytes that are there: decoding never allocates more than the frame.
 *
 * Not here: sockets, sessions, and what the records mean.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"

const LayoutId = "~effect-zookeeper/jute/Layout"

declare module "effect/Schema" {
  namespace Annotations {
    interface Augment {
      readonly [LayoutId]?: Layout | undefined
    }
  }
}

/**
 * Bytes that are not the record they should be: too short, a length beyond the
 * frame, a count beyond the bytes.
 *
 * @category errors
 * @since 0.1.0
 */
export class JuteError extends Schema.TaggedError<JuteError>("~effect-zookeeper/jute/JuteError")("JuteError", {
  /** What is wrong, and at which byte. */
  detail: Schema.String
}) {
  override get message() {
    return this.detail
  }
}

/**
 * How one type lies on the wire.
 *
 * A layout trusts the type of what it writes and nothing of what it reads: it
 * throws {@link JuteError}, which callers turn into a value.
 *
 * @category models
 * @since 0.1.0
 */
export interface Layout {
  // The type is erased by the AST; `layoutOf` gives it back.
  readonly read: (reader: Reader) => any
  readonly write: (writer: Writer, value: any) => void
  /** The fewest bytes a value takes: what a vector's count is checked against. */
  readonly minimum: number
  /** A value begins with its length or count, so that -1 can stand for null. */
  readonly counted?: true
}

// ---------------------------------------------------------------------------
// bytes
// ---------------------------------------------------------------------------

// Buffer's native text methods are two to five times faster than TextDecoder on short text; elsewhere that serves.
const native = typeof Buffer === "undefined" ? undefined : Buffer.prototype
// A byte order mark is a character like any other.
const textDecoder = new TextDecoder("utf-8", { ignoreBOM: true })
const textEncoder = new TextEncoder()

/** Java writes characters beyond the BMP as two surrogates of three bytes each (CESU-8), which UTF-8 decoders refuse. */
const decodeCesu8 = (bytes: Uint8Array, start: number, end: number): string => {
  let text = ""
  let from = start
  for (let i = start; i + 2 < end; i++) {
    const second = bytes[i + 1] ?? 0
    const third = bytes[i + 2] ?? 0
    if (bytes[i] === 0xed && second >= 0xa0 && second <= 0xbf && third >= 0x80 && third <= 0xbf) {
      text += textDecoder.decode(bytes.subarray(from, i))
      text += String.fromCharCode(0xd000 | (second & 0x3f) << 6 | third & 0x3f)
      from = i + 3
      i += 2
    }
  }
  return text + textDecoder.decode(bytes.subarray(from, end))
}

const decodeText = (bytes: Uint8Array, start: number, end: number): string => {
  const text = native === undefined
    ? textDecoder.decode(bytes.subarray(start, end))
    : native.utf8Slice.call(bytes, start, end)
  return text.includes("\ufffd") ? decodeCesu8(bytes, start, end) : text
}

// Small buffers are cut from a slab: a view on the network chunk would keep 64 KiB alive for every value.
const slabSize = 16_384
const slabShare = 2048
let slab = new Uint8Array(slabSize)
let slabUsed = 0

const nothing = new Uint8Array(0)
const nowhere = new DataView(nothing.buffer)

/**
 * Reads a frame from front to back. One instance serves a whole connection.
 *
 * @category models
 * @since 0.1.0
 */
export class Reader {
  bytes: Uint8Array = nothing
  view: DataView = nowhere
  offset = 0
  end = 0
  /** The bytes belong to this frame alone, so that buffers may be handed out as views. */
  owned = false

  /** Points at other bytes; nothing is copied. */
  reset(bytes: Uint8Array, offset = 0, end = bytes.length, owned = false): this {
    if (bytes !== this.bytes) {
      this.bytes = bytes
      this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    }
    this.offset = offset
    this.end = end
    this.owned = owned
    return this
  }

  get remaining(): number {
    return this.end - this.offset
  }

  /** Takes `size` bytes and returns where they start. */
  take(size: number): number {
    const at = this.offset
    if (size > this.end - at) throw this.problem(`${size} bytes wanted, ${this.end - at} left`)
    this.offset = at + size
    return at
  }

  problem(detail: string): JuteError {
    return new JuteError({ detail: `${detail} (at byte ${this.offset} of ${this.end})` })
  }

  int(): number {
    return this.view.getInt32(this.take(4))
  }

  long(): bigint {
    return this.view.getBigInt64(this.take(8))
  }

  boolean(): boolean {
    return this.bytes[this.take(1)] !== 0
  }

  /** A length prefix; -1 stands for null. */
  length(what: string): number {
    const length = this.int()
    if (length < -1) throw this.problem(`${what} of length ${length}`)
    if (length > this.end - this.offset) throw this.problem(`${what} of length ${length} beyond the frame`)
    return length
  }

  text(length: number): string {
    const at = this.take(length)
    return decodeText(this.bytes, at, at + length)
  }

  buffer(length: number): Uint8Array {
    const at = this.take(length)
    if (length === 0) return new Uint8Array(0)
    if (this.owned) return this.bytes.subarray(at, at + length)
    // Not `slice`: that of a Node Buffer is a view.
    if (length > slabShare) return new Uint8Array(this.bytes.subarray(at, at + length))
    if (slabUsed + length > slabSize) {
      slab = new Uint8Array(slabSize)
      slabUsed = 0
    }
    const copy = new Uint8Array(slab.buffer, slabUsed, length)
    slabUsed += length
    copy.set(this.bytes.subarray(at, at + length))
    return copy
  }
}

const firstBlock = 1 << 10
const largestBlock = 1 << 16

/**
 * Collects frames in blocks. What {@link Writer.drain} has handed out is never
 * written to again, because the socket may still hold it.
 *
 * @category models
 * @since 0.1.0
 */
export class Writer {
  bytes: Uint8Array<ArrayBuffer>
  view: DataView
  offset = 0
  private start = 0
  private frame = 0
  private sealed: Array<Uint8Array> = []

  constructor(size: number = firstBlock) {
    this.bytes = new Uint8Array(size)
    this.view = new DataView(this.bytes.buffer)
  }

  /** Makes room for `size` more bytes of the current frame. */
  reserve(size: number): void {
    if (this.offset + size <= this.bytes.length) return
    const unfinished = this.bytes.subarray(this.frame, this.offset)
    if (this.frame > this.start) this.sealed.push(this.bytes.subarray(this.start, this.frame))
    // Blocks grow while one holds less than what is written between two drains; an idle connection keeps a small one.
    const wanted = this.start === 0 ? 4 * this.bytes.length : this.bytes.length
    this.bytes = new Uint8Array(Math.max(Math.min(wanted, largestBlock), 2 * unfinished.length + size))
    this.bytes.set(unfinished)
    this.view = new DataView(this.bytes.buffer)
    this.start = this.frame = 0
    this.offset = unfinished.length
  }

  /** Starts a frame; its length is filled in by {@link end}. */
  begin(): void {
    this.frame = this.offset
    this.reserve(4)
    this.offset += 4
  }

  /** Ends the frame and returns the size of its payload in bytes. */
  end(): number {
    const size = this.offset - this.frame - 4
    this.view.setInt32(this.frame, size)
    this.frame = this.offset
    return size
  }

  /** Takes the frame back that was begun or ended last. */
  undo(size: number): void {
    this.offset = this.frame = this.frame === this.offset ? this.offset - size - 4 : this.frame
  }

  /** Everything written since the last call. */
  drain(): Array<Uint8Array> {
    const blocks = this.sealed
    if (this.offset > this.start) blocks.push(this.bytes.subarray(this.start, this.offset))
    this.start = this.frame = this.offset
    this.sealed = []
    return blocks
  }

  get isEmpty(): boolean {
    return this.offset === this.start && this.sealed.length === 0
  }

  int(value: number): void {
    this.reserve(4)
    this.view.setInt32(this.offset, value)
    this.offset += 4
  }

  long(value: bigint): void {
    this.reserve(8)
    this.view.setBigInt64(this.offset, value)
    this.offset += 8
  }

  boolean(value: boolean): void {
    this.reserve(1)
    this.bytes[this.offset++] = value ? 1 : 0
  }

  text(value: string): void {
    // Paths are short and ASCII: a loop beats a call into the encoder up to about a hundred characters.
    const length = value.length
    this.reserve(4 + 3 * length)
    const at = this.offset + 4
    let i = 0
    if (length <= 96) {
      for (; i < length; i++) {
        const unit = value.charCodeAt(i)
        if (unit > 127) break
        this.bytes[at + i] = unit
      }
    }
    const size = i === length ? length : textEncoder.encodeInto(value, this.bytes.subarray(at)).written
    this.view.setInt32(this.offset, size)
    this.offset = at + size
  }

  buffer(value: Uint8Array): void {
    this.reserve(4 + value.length)
    this.view.setInt32(this.offset, value.length)
    this.bytes.set(value, this.offset + 4)
    this.offset += 4 + value.length
  }
}

// ---------------------------------------------------------------------------
// primitives
// ---------------------------------------------------------------------------

const annotated = <S extends Schema.Top>(schema: S, layout: Layout): S["Rebuild"] =>
  schema.annotate({ [LayoutId]: layout })

/**
 * Gives a Schema a layout of its own in place of the compiled one: for records
 * that frame themselves, and for measured hot spots.
 *
 * @example
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as Jute from "effect-zookeeper/jute/Jute"
 *
 * // A port in two bytes.
 * const Port = Jute.withLayout(Schema.Int, {
 *   read: (reader) => reader.view.getUint16(reader.take(2)),
 *   write: (writer, value: number) => {
 *     writer.reserve(2)
 *     writer.view.setUint16(writer.offset, value)
 *     writer.offset += 2
 *   },
 *   minimum: 2
 * })
 *
 * Jute.encode(Port)(2181).length // => 2
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const withLayout = annotated

/**
 * One byte; 0 is false, anything else true.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Boolean = annotated(Schema.Boolean, {
  read: (reader) => reader.boolean(),
  write: (writer, value) => writer.boolean(value),
  minimum: 1
})

/**
 * 32 bits, signed.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Int = annotated(Schema.Int.check(Schema.isInt32()), {
  read: (reader) => reader.int(),
  write: (writer, value) => writer.int(value),
  minimum: 4
})

/**
 * 64 bits, signed.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Long = annotated(
  Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: -(2n ** 63n), maximum: 2n ** 63n - 1n })),
  {
    read: (reader) => reader.long(),
    write: (writer, value) => writer.long(value),
    minimum: 8
  }
)

/**
 * 64 bits, signed, as a number: for times in milliseconds, which are exact for
 * 285 000 years.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Millis = annotated(Schema.Int, {
  read: (reader) => Number(reader.long()),
  write: (writer, value) => writer.long(BigInt(value)),
  minimum: 8
})

const text: Layout = {
  read: (reader) => {
    const length = reader.length("text")
    if (length === -1) throw reader.problem("null text")
    return reader.text(length)
  },
  write: (writer, value) => writer.text(value),
  minimum: 4,
  counted: true
}

/**
 * Length-prefixed UTF-8. Java's CESU-8 is understood. What UTF-8 cannot say, half
 * a surrogate pair, is written as U+FFFD.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Text = annotated(Schema.String, text)

/**
 * Length-prefixed bytes.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Bytes = annotated(Schema.Uint8Array, {
  read: (reader) => {
    const length = reader.length("buffer")
    if (length === -1) throw reader.problem("null buffer")
    return reader.buffer(length)
  },
  write: (writer, value) => writer.buffer(value),
  minimum: 4,
  counted: true
})

// ---------------------------------------------------------------------------
// compilation
// ---------------------------------------------------------------------------

const nullable = (layout: Layout): Layout => ({
  read: (reader) => {
    if (reader.remaining >= 4 && reader.view.getInt32(reader.offset) === -1) {
      reader.offset += 4
      return null
    }
    return layout.read(reader)
  },
  write: (writer, value) => value === null ? writer.int(-1) : layout.write(writer, value),
  minimum: 4
})

const nonAscii = /[^\0-\x7f]/

/** Names of children: decoded as one string and cut up, which halves the cost of a large directory. */
const readTexts = (reader: Reader, count: number): Array<string> => {
  const start = reader.offset
  for (let i = 0; i < count; i++) {
    const length = reader.length("text")
    if (length === -1) throw reader.problem("null text")
    reader.offset += length
  }
  const out = new Array<string>(count)
  const whole = native === undefined ? undefined : native.latin1Slice.call(reader.bytes, start, reader.offset)
  const simple = whole !== undefined && !nonAscii.test(whole)
  for (let i = 0, at = 0; i < count; i++) {
    const length = reader.view.getInt32(start + at)
    at += 4
    out[i] = simple
      ? whole.substring(at, at + length)
      : decodeText(reader.bytes, start + at, start + at + length)
    at += length
  }
  return out
}

const vector = (item: Layout): Layout => ({
  read: (reader) => {
    const count = reader.int()
    if (count < 0) throw reader.problem(`vector of ${count} elements`)
    if (count * item.minimum > reader.remaining) {
      throw reader.problem(`vector of ${count} elements in ${reader.remaining} bytes`)
    }
    if (item === text && count > 4) return readTexts(reader, count)
    const out = new Array<unknown>(count)
    for (let i = 0; i < count; i++) out[i] = item.read(reader)
    return out
  },
  write: (writer, values: ReadonlyArray<unknown>) => {
    writer.int(values.length)
    for (const value of values) item.write(writer, value)
  },
  minimum: 4,
  counted: true
})

const record = (ast: SchemaAST.Objects): Layout => {
  const fields = ast.propertySignatures.map(({ name, type }) => ({
    name,
    layout: compiled(type),
    optional: SchemaAST.isOptional(type)
  }))
  const required = fields.filter((field) => !field.optional)
  const [first, second] = required
  // Literals with computed names are stored twice as fast as fields added one by one.
  const read: Layout["read"] = fields.length === 1 && first !== undefined && required.length === 1
    ? (reader) => ({ [first.name]: first.layout.read(reader) })
    : fields.length === 2 && first !== undefined && second !== undefined
    ? (reader) => ({ [first.name]: first.layout.read(reader), [second.name]: second.layout.read(reader) })
    : (reader) => {
      const out: Record<PropertyKey, unknown> = {}
      for (const field of fields) {
        // An optional field was added by a later version: it ends the record, or is absent.
        if (field.optional && reader.remaining < field.layout.minimum) break
        out[field.name] = field.layout.read(reader)
      }
      return out
    }
  return {
    read,
    write: (writer, value: Record<PropertyKey, unknown>) => {
      for (const field of fields) {
        const item = value[field.name]
        if (field.optional && item === undefined) break
        field.layout.write(writer, item)
      }
    },
    minimum: required.reduce((sum, field) => sum + field.layout.minimum, 0)
  }
}

const compile = (ast: SchemaAST.AST): Layout => {
  if (SchemaAST.isObjects(ast)) return record(ast)
  if (SchemaAST.isArrays(ast)) {
    const [item] = ast.rest
    if (ast.elements.length === 0 && item !== undefined) {
      const layout = compiled(item)
      // Elements without bytes could be as many as a peer likes.
      if (layout.minimum > 0) return vector(layout)
    }
  }
  if (SchemaAST.isUnion(ast)) {
    const present = ast.types.filter((type) => !SchemaAST.isNull(type))
    const [only] = present
    if (present.length === 1 && only !== undefined && ast.types.length === 2) {
      const layout = compiled(only)
      if (layout.counted) return nullable(layout)
    }
  }
  throw new Error(`Jute has no layout for a Schema of kind ${ast._tag}: annotate it with Jute.withLayout`)
}

const layouts = new WeakMap<SchemaAST.AST, Layout>()

const compiled = (ast: SchemaAST.AST): Layout => {
  const known = layouts.get(ast)
  if (known !== undefined) return known
  const layout = SchemaAST.resolveAt<Layout>(LayoutId)(ast) ?? compile(ast)
  layouts.set(ast, layout)
  return layout
}

/**
 * A layout whose type is known again.
 *
 * @category models
 * @since 0.1.0
 */
export interface LayoutOf<A> extends Layout {
  readonly read: (reader: Reader) => A
  readonly write: (writer: Writer, value: A) => void
}

/**
 * The direct face: how values of a Schema lie on the wire, compiled on first
 * use. Throws an `Error` where the Schema holds a type that jute does not have.
 *
 * @example
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as Jute from "effect-zookeeper/jute/Jute"
 *
 * const Point = Jute.layoutOf(Schema.Struct({ x: Jute.Int, y: Jute.Int }))
 * const writer = new Jute.Writer()
 *
 * writer.begin()
 * Point.write(writer, { x: 1, y: -1 })
 * writer.end() // => 8
 *
 * // Behind the length of the frame.
 * Point.read(new Jute.Reader().reset(writer.bytes, 4)) // => { x: 1, y: -1 }
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const layoutOf = <A>(schema: Schema.Codec<A, unknown>): LayoutOf<A> => compiled(schema.ast)

/**
 * The layout derived from a record's fields, even where one was given by hand:
 * what tests hold the hand-written one against.
 *
 * @example
 * ```ts
 * import * as Jute from "effect-zookeeper/jute/Jute"
 * import { Stat } from "effect-zookeeper/jute/Protocol"
 *
 * Jute.derivedLayoutOf(Stat).minimum // => 68
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const derivedLayoutOf = <A>(schema: Schema.Codec<A, unknown>): LayoutOf<A> => compile(schema.ast)

// ---------------------------------------------------------------------------
// whole values
// ---------------------------------------------------------------------------

/**
 * Encodes one value, without a length in front.
 *
 * @example
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Jute from "effect-zookeeper/jute/Jute"
 *
 * const bytes = Jute.encode(Jute.Text)("é")
 *
 * Array.from(bytes) // => [0, 0, 0, 2, 195, 169]
 * Jute.decode(Jute.Text)(bytes) // => Result.succeed("é")
 * Result.isFailure(Jute.decode(Jute.Text)(bytes.slice(0, 5))) // => true
 * ```
 *
 * @category encoding
 * @since 0.1.0
 */
export const encode = <A>(schema: Schema.Codec<A, unknown>): (value: A) => Uint8Array => {
  const layout = layoutOf(schema)
  return (value) => {
    const writer = new Writer(256)
    writer.begin()
    layout.write(writer, value)
    const size = writer.end()
    return writer.bytes.slice(writer.offset - size, writer.offset)
  }
}

/**
 * Decodes one value. Bytes behind it are legal, since newer servers append
 * fields; fewer bytes are a {@link JuteError}. See {@link encode} for an example.
 *
 * @category decoding
 * @since 0.1.0
 */
export const decode = <A>(schema: Schema.Codec<A, unknown>): (bytes: Uint8Array) => Result.Result<A, JuteError> => {
  const layout = layoutOf(schema)
  return (bytes) =>
    Result.try({
      try: () => layout.read(new Reader().reset(bytes)),
      catch: (error) => error instanceof JuteError ? error : new JuteError({ detail: String(error) })
    })
}

/**
 * The composable face: a Codec between a record and its bytes.
 *
 * @example
 * ```ts
 * import * as Schema from "effect/Schema"
 * import * as Jute from "effect-zookeeper/jute/Jute"
 *
 * const Point = Schema.Struct({ x: Jute.Int, y: Jute.Int })
 * const bytes = Schema.encodeSync(Jute.toCodec(Point))({ x: 1, y: -1 })
 * bytes.length // => 8
 * ```
 *
 * @category schemas
 * @since 0.1.0
 */
export const toCodec = <A>(schema: Schema.Codec<A, unknown>): Schema.Codec<A, Uint8Array> => {
  const encodeValue = encode(schema)
  const decodeBytes = decode(schema)
  return Schema.Uint8Array.pipe(Schema.decodeTo(
    Schema.toType(schema),
    SchemaTransformation.transformEffect({
      decode: (bytes: Uint8Array, options) =>
        Result.match(decodeBytes(bytes), {
          onSuccess: (value) => Effect.succeed(value),
          onFailure: ({ detail }) =>
            Effect.fail(new SchemaIssue.InvalidValue({ expected: `a jute record: ${detail}` }, bytes, options))
        }),
      encode: (value: A) => Effect.succeed(encodeValue(value))
    })
  ))
}
