import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Result, Schema } from "effect"
import * as Jute from "../../src/jute/Jute.ts"
import * as Protocol from "../../src/jute/Protocol.ts"
import { bytes, type Golden, goldens, utf8 } from "./Golden.ts"

const { ConnectRequest, ConnectResponse, MultiHeader, operations, ReplyHeader, RequestHeader, Stat, WatcherEvent } =
  Protocol

/** Every record that goes over the wire, once. */
const records: ReadonlyArray<readonly [name: string, schema: Schema.Codec<unknown, unknown>]> = [
  ["Id", Protocol.Id],
  ["Acl", Protocol.Acl],
  ["Stat", Stat],
  ["ConnectRequest", ConnectRequest],
  ["ConnectResponse", ConnectResponse],
  ["RequestHeader", RequestHeader],
  ["ReplyHeader", ReplyHeader],
  ["WatcherEvent", WatcherEvent],
  ["MultiHeader", MultiHeader],
  ...Object.entries<Protocol.Operation<unknown, unknown>>(operations).flatMap(([name, { request, response }]) =>
    [[`${name} request`, request], [`${name} response`, response]] as const
  )
]

const byte = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 })))
const someBytes = (minLength: number, maxLength: number) =>
  Arbitrary.map(Arbitrary.array(byte, { minLength, maxLength }), (values) => Uint8Array.from(values))

const concat = (...parts: ReadonlyArray<Uint8Array>) => new Uint8Array(Buffer.concat(parts))

const int = (value: number) => {
  const out = new Uint8Array(4)
  new DataView(out.buffer).setInt32(0, value)
  return out
}

/** Both faces, which must say the same. */
const decodeBoth = <A>(schema: Schema.Codec<A, unknown>, input: Uint8Array) =>
  Effect.gen(function*() {
    const direct = Jute.decode(schema)(input)
    const composed = yield* Effect.result(Schema.decodeEffect(Jute.toCodec(schema))(input))
    assert.strictEqual(Result.isSuccess(composed), Result.isSuccess(direct))
    if (Result.isSuccess(direct) && Result.isSuccess(composed)) {
      assert.deepStrictEqual(composed.success, direct.success)
    }
    if (Result.isFailure(direct) && Result.isFailure(composed)) {
      assert.instanceOf(direct.failure, Jute.JuteError)
      assert.include(composed.failure.message, direct.failure.detail)
    }
    return direct
  })

const encodeBoth = <A>(schema: Schema.Codec<A, unknown>, value: A) =>
  Effect.gen(function*() {
    const direct = Jute.encode(schema)(value)
    assert.deepStrictEqual(yield* Schema.encodeEffect(Jute.toCodec(schema))(value), direct)
    return direct
  })

/** The wire has no half of a surrogate pair, which becomes U+FFFD as all over the web, and no -0. */
const onTheWire = (value: unknown): unknown => {
  if (typeof value === "string") return value.replaceAll(/\p{Surrogate}/gu, "\ufffd")
  if (typeof value === "number") return value + 0
  if (Array.isArray(value)) return value.map(onTheWire)
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, onTheWire(item)]))
}

/** Elements, characters and bytes in a value: never more than the bytes it was read from. */
const weight = (value: unknown): number => {
  if (typeof value === "string" || value instanceof Uint8Array) return value.length
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + weight(item), value.length)
  if (typeof value === "object" && value !== null) return weight(Object.values(value)) - Object.keys(value).length
  return 0
}

/** Reads bytes that may be anything. */
const survives = (schema: Schema.Codec<unknown, unknown>, input: Uint8Array) => {
  try {
    const value = Jute.layoutOf(schema).read(new Jute.Reader().reset(input))
    assert.isAtMost(weight(value), input.length)
  } catch (error) {
    if (!(error instanceof Jute.JuteError)) throw error
  }
}

/** Reproducible numbers from 0 up to a bound. */
const random = (seed: number) => {
  let state = seed
  return (bound: number) => {
    state = Math.imul(state ^ state >>> 15, 0x2c1b3c6d) + 0x6d2b79f5 | 0
    const mixed = Math.imul(state ^ state >>> 13, 0x297a2d39)
    return ((mixed ^ mixed >>> 16) >>> 0) % bound
  }
}

const hostile = [2 ** 31 - 1, 2 ** 28, 65536, -1, -2, -(2 ** 31)]

/** What is left when `end` bytes arrive: legal only where the rest is optional. */
const isLegal = ({ bytes, schema }: Golden, end: number) =>
  (schema === ConnectRequest || schema === ConnectResponse) && bytes.length % 2 === 1 && end === bytes.length - 1

/** A request of setData. */
const withData = (data: Uint8Array | null) => ({ path: "/", data, version: 0 })

/** Why bytes are refused. */
const refused = (schema: Schema.Codec<unknown, unknown>, hex: string) =>
  Effect.map(decodeBoth(schema, bytes(hex)), Result.match({
    onFailure: ({ detail }) => detail,
    onSuccess: () => "accepted"
  }))

describe("golden bytes", () => {
  it("cover every record that an operation sends or receives", () => {
    const covered = new Set<unknown>(goldens.map(({ schema }) => schema))
    for (const schema of [ConnectRequest, ConnectResponse, ReplyHeader, WatcherEvent]) {
      assert.isTrue(covered.has(schema))
    }
    for (const [name, { request, response }] of Object.entries(operations)) {
      assert.isTrue(covered.has(request) && covered.has(response), name)
      assert.isTrue(goldens.some((golden) => golden.name.startsWith(name)), name)
    }
  })

  it.effect.each(goldens)("$name", ({ bytes, schema, value }) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* decodeBoth(schema, bytes), Result.succeed(value))
      assert.deepStrictEqual(yield* encodeBoth(schema, value), bytes)
    }))

  it("carry the numbers of their operations", () => {
    const numbers = Object.fromEntries(Object.entries(operations).map(([name, { opCode }]) => [name, opCode]))
    assert.deepStrictEqual(numbers, {
      create: 1,
      create2: 15,
      createContainer: 19,
      createTtl: 21,
      delete: 2,
      exists: 3,
      getData: 4,
      setData: 5,
      getAcl: 6,
      setAcl: 7,
      getChildren: 8,
      getChildren2: 12,
      sync: 9,
      ping: 11,
      multi: 14,
      multiRead: 22,
      reconfig: 16,
      checkWatches: 17,
      removeWatches: 18,
      auth: 100,
      setWatches: 101,
      setWatches2: 105,
      sasl: 102,
      getEphemerals: 103,
      getAllChildrenNumber: 104,
      addWatch: 106,
      whoAmI: 107,
      closeSession: -11
    })
  })
})

const sameByHand = <A>(schema: Schema.Codec<A, unknown>, input: Uint8Array): void => {
  const byHand = new Jute.Reader().reset(input)
  const derived = new Jute.Reader().reset(input)
  assert.deepStrictEqual(Jute.layoutOf(schema).read(byHand), Jute.derivedLayoutOf(schema).read(derived))
  assert.strictEqual(byHand.offset, derived.offset)
  assert.strictEqual(Jute.layoutOf(schema).minimum, Jute.derivedLayoutOf(schema).minimum)
}

describe("values", () => {
  for (const [name, schema] of records) {
    it.effect.prop(`${name} survives encoding and decoding`, [schema, someBytes(0, 40)], ([value, padding]) =>
      Effect.gen(function*() {
        const encoded = yield* encodeBoth(schema, value)
        assert.deepStrictEqual(yield* decodeBoth(schema, encoded), Result.succeed(onTheWire(value)))
        assert.isAtLeast(encoded.length, Jute.layoutOf(schema).minimum)
        // In the middle of other bytes, in memory of its own or not, in a Buffer or not.
        const glued = concat(padding, encoded, padding)
        for (const chunk of [glued, Buffer.from(glued)]) {
          for (const owned of [false, true]) {
            const reader = new Jute.Reader().reset(chunk, padding.length, padding.length + encoded.length, owned)
            const read = Jute.layoutOf(schema).read(reader)
            assert.strictEqual(reader.remaining, 0)
            assert.deepStrictEqual(yield* encodeBoth(schema, read), encoded)
          }
        }
      }))
  }

  it.effect.prop("the layout of Stat by hand is the derived one", [someBytes(68, 80)], ([input]) =>
    Effect.sync(() => sameByHand(Stat, input)), { arbitrary: { runs: 1000 } })

  it.effect.prop("the layout of WatcherEvent by hand is the derived one", [WatcherEvent], ([event]) =>
    Effect.sync(() => sameByHand(WatcherEvent, Jute.encode(WatcherEvent)(event))), { arbitrary: { runs: 1000 } })

  it.effect("of times are exact at the limits of a number", () =>
    Effect.gen(function*() {
      const times = [0, 1, -1, 2 ** 32 - 1, 2 ** 32, -(2 ** 32), Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]
      const zero = Result.getOrThrow(Jute.decode(Stat)(new Uint8Array(68)))
      for (const time of times) {
        const stat = { ...zero, ctime: time, mtime: -time + 0 }
        const encoded = yield* encodeBoth(Stat, stat)
        assert.deepStrictEqual(yield* decodeBoth(Stat, encoded), Result.succeed(stat))
        assert.strictEqual(new DataView(encoded.buffer).getBigInt64(16), BigInt(time))
      }
    }))

  it.effect("of sessions are negative for servers from id 128 on", () =>
    Effect.gen(function*() {
      const value = {
        protocolVersion: 0,
        timeOut: 4000,
        sessionId: -0x7ffffffffffffffen,
        passwd: new Uint8Array(16),
        readOnly: true
      }
      const encoded = yield* encodeBoth(ConnectResponse, value)
      assert.deepStrictEqual(encoded.subarray(8, 16), bytes("8000000000000002"))
      assert.deepStrictEqual(yield* decodeBoth(ConnectResponse, encoded), Result.succeed(value))
    }))

  it.effect("null and empty are different data", () =>
    Effect.gen(function*() {
      const { request } = operations.setData
      const nothing = bytes("00000001 2f ffffffff 00000000")
      const empty = bytes("00000001 2f 00000000 00000000")
      assert.deepStrictEqual(yield* encodeBoth(request, withData(null)), nothing)
      assert.deepStrictEqual(yield* encodeBoth(request, withData(utf8(""))), empty)
      assert.deepStrictEqual(yield* decodeBoth(request, nothing), Result.succeed(withData(null)))
      assert.deepStrictEqual(yield* decodeBoth(request, empty), Result.succeed(withData(utf8(""))))
    }))

  it.effect("null is refused where the protocol has none", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* refused(operations.sync.response, "ffffffff"), "null text (at byte 4 of 4)")
      assert.strictEqual(
        yield* refused(operations.getChildren.response, "ffffffff"),
        "vector of -1 elements (at byte 4 of 4)"
      )
      assert.strictEqual(
        yield* refused(ConnectResponse, "00000000 00000fa0 0000000000000001 ffffffff"),
        "null buffer (at byte 20 of 20)"
      )
    }))
})

describe("other versions", () => {
  const connected = goldens.find(({ name }) => name === "connect response")
  assert.isDefined(connected)

  it.effect("the readOnly byte may be absent", () =>
    Effect.gen(function*() {
      const short = Result.getOrThrow(yield* decodeBoth(ConnectResponse, connected.bytes.subarray(0, 36)))
      assert.notProperty(short, "readOnly")
      assert.deepStrictEqual({ ...short, readOnly: false }, connected.value)
      assert.strictEqual((yield* encodeBoth(ConnectResponse, short)).length, 36)
      assert.strictEqual((yield* encodeBoth(ConnectResponse, { ...short, readOnly: true })).length, 37)
    }))

  it.effect.each(goldens.filter(({ name }) => !name.startsWith("44") && !name.startsWith("36")))(
    "fields that a newer server appends are ignored: $name",
    ({ bytes, schema, value }) =>
      Effect.gen(function*() {
        for (const more of ["00", "ff", "0000000000000001", "ffffffff7fffffff"]) {
          const longer = concat(bytes, Buffer.from(more, "hex"))
          assert.deepStrictEqual(yield* decodeBoth(schema, longer), Result.succeed(value))
        }
      })
  )

  it.effect("Java's characters beyond the BMP are understood in ids", () =>
    Effect.gen(function*() {
      const schema = operations.whoAmI.response
      const decoded = yield* decodeBoth(schema, bytes("00000001 00000002 6970 00000008 61 eda0bd edb880 62"))
      assert.deepStrictEqual(decoded, Result.succeed({ clientInfo: [{ authScheme: "ip", user: "a😀b" }] }))
    }))

  it.effect("a type that is unknown in a transaction is refused", () =>
    Effect.gen(function*() {
      for (const { request, response } of [operations.multi, operations.multiRead]) {
        for (const type of [0, 3, 7, 99, -2]) {
          const input = concat(int(type), bytes("00 00000000"), new Uint8Array(100))
          assert.isTrue(Result.isFailure(yield* decodeBoth(request, input)))
          assert.isTrue(Result.isFailure(yield* decodeBoth(response, input)))
        }
      }
    }))
})

describe("broken bytes", () => {
  it.effect.each(goldens)("cut at every byte: $name", (golden) =>
    Effect.gen(function*() {
      const { bytes, schema } = golden
      for (let end = 0; end < bytes.length; end++) {
        const cut = yield* decodeBoth(schema, bytes.slice(0, end))
        assert.strictEqual(Result.isSuccess(cut), isLegal(golden, end), `at ${end}`)
        // What lies behind the end of the frame does not count.
        const inside = Result.try(() => Jute.layoutOf(schema).read(new Jute.Reader().reset(bytes, 0, end)))
        assert.strictEqual(Result.isSuccess(inside), isLegal(golden, end), `at ${end}`)
        if (Result.isSuccess(cut) && Result.isSuccess(inside)) assert.deepStrictEqual(inside.success, cut.success)
      }
    }))

  it("with a hostile number at every byte", () => {
    for (const { bytes, schema } of goldens) {
      for (let at = 0; at + 4 <= bytes.length; at++) {
        for (const number of hostile) {
          survives(schema, concat(bytes.subarray(0, at), int(number), bytes.subarray(at + 4)))
        }
      }
    }
  })

  it("with random bytes in random places", () => {
    const next = random(3_8_0)
    for (const { bytes, schema } of goldens) {
      for (let run = 0; run < 400 && bytes.length > 0; run++) {
        const broken = bytes.slice(0, next(4) === 0 ? 1 + next(bytes.length) : bytes.length)
        for (let changes = 1 + next(4); changes > 0; changes--) broken[next(broken.length)] = next(256)
        survives(schema, broken)
      }
    }
  })

  it("of other records", () => {
    for (const { bytes } of goldens) for (const [, schema] of records) survives(schema, bytes)
  })

  it.effect("counts and lengths are not believed", () =>
    Effect.gen(function*() {
      const { response } = operations.getChildren
      const children = (count: number, rest: string) => decodeBoth(response, concat(int(count), bytes(rest)))
      const details: Array<unknown> = []
      for (const count of [2 ** 31 - 1, 3, -1, -2, -(2 ** 31)]) {
        details.push(Result.merge(Result.mapError(yield* children(count, "00000000 00000000"), ({ detail }) => detail)))
      }
      assert.deepStrictEqual(details, [
        "vector of 2147483647 elements in 8 bytes (at byte 4 of 12)",
        "vector of 3 elements in 8 bytes (at byte 4 of 12)",
        "vector of -1 elements (at byte 4 of 12)",
        "vector of -2 elements (at byte 4 of 12)",
        "vector of -2147483648 elements (at byte 4 of 12)"
      ])
      assert.deepStrictEqual(yield* children(2, "00000000 00000000"), Result.succeed({ children: ["", ""] }))
      for (const length of [2 ** 31 - 1, 69, -2, -(2 ** 31)]) {
        const data = concat(int(length), new Uint8Array(68))
        assert.isTrue(Result.isFailure(yield* decodeBoth(operations.getData.response, data)))
        assert.isTrue(Result.isFailure(yield* decodeBoth(operations.sync.response, data)))
      }
    }))
})
