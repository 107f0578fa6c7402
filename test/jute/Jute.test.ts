import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Result, Schema } from "effect"
import * as Jute from "../../src/jute/Jute.ts"
import { bytes, utf8 } from "./Golden.ts"

const Texts = Schema.Array(Jute.Text)

const prefixed = (content: Uint8Array) => {
  const out = Buffer.alloc(4 + content.length)
  out.writeInt32BE(content.length)
  out.set(content, 4)
  return out
}

const text = (hex: string) => Result.getOrThrow(Jute.decode(Jute.Text)(prefixed(bytes(hex))))

/** Writes a frame and returns the size of its payload. */
const frame = (writer: Jute.Writer, content: string) => {
  writer.begin()
  writer.text(content)
  return writer.end()
}

const framed = (content: string) => prefixed(prefixed(utf8(content)))

const all = (blocks: ReadonlyArray<Uint8Array>) => Buffer.concat(blocks)

describe("primitives", () => {
  const cases: ReadonlyArray<readonly [schema: Schema.Codec<unknown, unknown>, value: unknown, hex: string]> = [
    [Jute.Boolean, false, "00"],
    [Jute.Boolean, true, "01"],
    [Jute.Int, 0, "00000000"],
    [Jute.Int, -1, "ffffffff"],
    [Jute.Int, 2 ** 31 - 1, "7fffffff"],
    [Jute.Int, -(2 ** 31), "80000000"],
    [Jute.Long, 2n ** 63n - 1n, "7fffffffffffffff"],
    [Jute.Long, -(2n ** 63n), "8000000000000000"],
    [Jute.Long, 0x0123456789abcdefn, "0123456789abcdef"],
    [Jute.Millis, 1795433780920, "000001a2083156b8"],
    [Jute.Millis, -1, "ffffffffffffffff"],
    [Jute.Text, "", "00000000"],
    [Jute.Text, "zwölf", "00000006 7a77c3b66c66"],
    [Jute.Text, "😀", "00000004 f09f9880"],
    [Jute.Text, "\ufeffmark", "00000007 efbbbf6d61726b"],
    [Jute.Text, "\ufeff\ufffd", "00000006 efbbbfefbfbd"],
    [Jute.Bytes, utf8(""), "00000000"],
    [Jute.Bytes, bytes("00ff"), "00000002 00ff"],
    [Schema.NullOr(Jute.Text), null, "ffffffff"],
    [Schema.NullOr(Jute.Text), "", "00000000"],
    [Schema.NullOr(Jute.Bytes), null, "ffffffff"],
    [Schema.NullOr(Jute.Bytes), utf8(""), "00000000"],
    [Schema.NullOr(Texts), null, "ffffffff"],
    [Schema.NullOr(Texts), [], "00000000"],
    [Texts, ["a", ""], "00000002 00000001 61 00000000"],
    [Texts, ["", "a", "bc", "", "d"], "00000005 00000000 00000001 61 00000002 6263 00000000 00000001 64"],
    [Texts, ["a", "ö", "", "\ufeff", "b"], "00000005 00000001 61 00000002 c3b6 00000000 00000003 efbbbf 00000001 62"],
    [
      Schema.Array(Schema.NullOr(Jute.Text)),
      [null, "", null, "a", null],
      "00000005 ffffffff 00000000 ffffffff 00000001 61 ffffffff"
    ]
  ]

  it.effect.each(cases)("$1 is $2", ([schema, value, hex]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(Jute.encode(schema)(value), bytes(hex))
      assert.deepStrictEqual(Jute.decode(schema)(bytes(hex)), Result.succeed(value))
      const codec = Jute.toCodec(schema)
      assert.deepStrictEqual(yield* Schema.encodeEffect(codec)(value), bytes(hex))
      assert.deepStrictEqual(yield* Schema.decodeEffect(codec)(bytes(hex)), value)
    }))

  it("every byte but 0 is true", () => {
    for (let byte = 0; byte < 256; byte++) {
      assert.deepStrictEqual(Jute.decode(Jute.Boolean)(Uint8Array.of(byte)), Result.succeed(byte !== 0))
    }
  })

  it.effect("numbers beyond the wire are refused by the codec", () =>
    Effect.gen(function*() {
      for (const value of [2 ** 31, -(2 ** 31) - 1, 0.5, NaN]) {
        assert.isTrue(Result.isFailure(yield* Effect.result(Schema.encodeEffect(Jute.toCodec(Jute.Int))(value))))
      }
      for (const value of [2n ** 63n, -(2n ** 63n) - 1n]) {
        assert.isTrue(Result.isFailure(yield* Effect.result(Schema.encodeEffect(Jute.toCodec(Jute.Long))(value))))
      }
    }))

  it("types that jute does not have are refused at once", () => {
    const absent: ReadonlyArray<Schema.Codec<unknown, unknown>> = [
      Schema.String,
      Schema.Struct({ date: Schema.Date }),
      Schema.Union([Jute.Int, Jute.Text]),
      // -1 is a number here, not null.
      Schema.NullOr(Jute.Int),
      Schema.NullOr(Jute.Boolean),
      // A count that no byte bears out.
      Schema.Array(Schema.Struct({})),
      Schema.Tuple([Jute.Int])
    ]
    for (const schema of absent) assert.throws(() => Jute.layoutOf(schema), /^Jute has no layout for a Schema of kind/)
  })
})

describe("text", () => {
  it("of Java: a surrogate pair in three bytes each is one character", () => {
    assert.strictEqual(text("eda0bd edb880"), "😀")
    assert.strictEqual(text("efbbbf 61 eda0bd edb880 c3b6 eda0bd edb881 62"), "\ufeffa😀ö😁b")
    assert.strictEqual(text("f09f9880 eda0bd edb880"), "😀😀")
    assert.strictEqual(text("efbfbd eda0bd edb880 efbbbf"), "\ufffd😀\ufeff")
    // All of them, ends of both ranges included.
    for (const point of [0x10000, 0x103ff, 0x1f600, 0xfffff, 0x10fc00, 0x10ffff]) {
      const character = String.fromCodePoint(point)
      const units = [character.charCodeAt(0), character.charCodeAt(1)]
      const cesu = units.flatMap((unit) => [0xe0 | unit >> 12, 0x80 | unit >> 6 & 0x3f, 0x80 | unit & 0x3f])
      assert.strictEqual(text(Buffer.from(cesu).toString("hex")), character)
    }
  })

  it("of Java, among the names of children", () => {
    const names = ["a", "eda0bdedb880", "", "efbbbf", "c3b6", "ff"].map((hex) => hex === "a" ? utf8("a") : bytes(hex))
    const input = Buffer.concat([bytes("00000006"), ...names.map(prefixed)])
    assert.deepStrictEqual(Jute.decode(Texts)(input), Result.succeed(["a", "😀", "", "\ufeff", "ö", "\ufffd"]))
  })

  it("that is no UTF-8 is read with U+FFFD in place of what is wrong", () => {
    assert.strictEqual(text("61 ff 62"), "a\ufffdb")
    assert.strictEqual(text("61 c3"), "a\ufffd")
    assert.strictEqual(text("c0 80"), "\ufffd\ufffd")
    assert.strictEqual(text("ed a0").length > 0, true)
    assert.strictEqual(text("eda0bd"), "\ud83d")
  })

  it("with half a surrogate pair is written with U+FFFD in its place", () => {
    assert.deepStrictEqual(Jute.encode(Jute.Text)("a\ud83d"), bytes("00000004 61 efbfbd"))
  })

  const short = Arbitrary.schema(Schema.String)
  const long = Arbitrary.map(Arbitrary.array(short, { maxLength: 40 }), (parts) => parts.join("/"))

  it.effect.prop("is written like TextEncoder does, and read back", [long], ([value]) =>
    Effect.sync(() => {
      const encoded = Jute.encode(Jute.Text)(value)
      assert.deepStrictEqual(encoded, new Uint8Array(prefixed(utf8(value))))
      const read = Jute.decode(Jute.Text)(encoded)
      assert.deepStrictEqual(read, Result.succeed(value.replaceAll(/\p{Surrogate}/gu, "\ufffd")))
    }), { arbitrary: { runs: 500 } })

  const texts = Arbitrary.array(short, { maxLength: 12 })

  it.effect.prop("in vectors of any size reads like text alone", [texts], ([values]) =>
    Effect.sync(() => {
      const read = Result.getOrThrow(Jute.decode(Texts)(Jute.encode(Texts)(values)))
      const alone = values.map((value) => Result.getOrThrow(Jute.decode(Jute.Text)(Jute.encode(Jute.Text)(value))))
      assert.deepStrictEqual(read, alone)
    }), { arbitrary: { runs: 500 } })

  it("around the length at which the way to write it changes", () => {
    for (let length = 90; length < 103; length++) {
      for (const value of ["x".repeat(length), `${"x".repeat(length - 1)}ö`, `ö${"x".repeat(length)}`]) {
        assert.deepStrictEqual(Jute.decode(Jute.Text)(Jute.encode(Jute.Text)(value)), Result.succeed(value))
      }
    }
  })
})

describe("Reader", () => {
  it.each([0, 1, 100, 2047, 2048, 2049, 9000])("buffers of %i bytes outlive the memory they came from", (size) => {
    const content = Uint8Array.from({ length: size }, (_, i) => i % 251)
    for (const chunk of [new Uint8Array(prefixed(content)), Buffer.from(prefixed(content))]) {
      const read = Jute.layoutOf(Jute.Bytes).read(new Jute.Reader().reset(chunk))
      chunk.fill(0xff)
      assert.deepStrictEqual(read, content)
      assert.notStrictEqual(read.buffer, chunk.buffer)
    }
  })

  it("many small buffers keep their own bytes", () => {
    const reader = new Jute.Reader()
    const layout = Jute.layoutOf(Jute.Bytes)
    const read = Array.from({ length: 2000 }, (_, i) =>
      layout.read(reader.reset(prefixed(new Uint8Array(i % 37).fill(i % 256)))))
    read.forEach((value, i) => assert.deepStrictEqual(value, new Uint8Array(i % 37).fill(i % 256)))
  })

  it("hands out views of memory that is the frame's own", () => {
    const chunk = new Uint8Array(prefixed(new Uint8Array(5000)))
    const read = Jute.layoutOf(Jute.Bytes).read(new Jute.Reader().reset(chunk, 0, chunk.length, true))
    assert.strictEqual(read.buffer, chunk.buffer)
  })
})

describe("Writer", () => {
  it("frames of every size come out in order, and what was drained stays as it was", () => {
    for (const size of [0, 1, 8, 1024, 1 << 16]) {
      const writer = new Jute.Writer(size)
      const drained: Array<Uint8Array> = []
      const expected: Array<Uint8Array> = []
      for (let i = 0; i < 600; i++) {
        const content = String.fromCharCode(97 + i % 26).repeat(i * i % 1013 * (i % 97 === 0 ? 300 : 1))
        assert.strictEqual(frame(writer, content), 4 + content.length)
        expected.push(framed(content))
        if (i % 7 === 0) drained.push(...writer.drain())
      }
      drained.push(...writer.drain())
      assert.isTrue(writer.isEmpty)
      assert.deepStrictEqual(writer.drain(), [])
      assert.isTrue(all(drained).equals(all(expected)))
    }
  })

  it("a frame is taken back, begun or ended, without a trace", () => {
    for (const content of ["b", "b".repeat(1 << 17)]) {
      const writer = new Jute.Writer(64)
      frame(writer, "a")
      writer.undo(frame(writer, content))
      frame(writer, "c")
      writer.begin()
      writer.text(content)
      writer.undo(0)
      assert.isTrue(all(writer.drain()).equals(all([framed("a"), framed("c")])))
      writer.undo(frame(writer, content))
      assert.isTrue(writer.isEmpty)
      frame(writer, "d")
      assert.isTrue(all(writer.drain()).equals(framed("d")))
    }
  })
})
