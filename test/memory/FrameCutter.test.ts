/** However the bytes come: the same frames, in the same order, and nothing lost. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { FrameCutter } from "../../src/memory/FrameCutter.ts"

const frame = (payload: ReadonlyArray<number>): ReadonlyArray<number> => [0, 0, 0, payload.length, ...payload]

/** Cuts at sizes which are used one after the other, again and again. */
const pieces = (bytes: Uint8Array, sizes: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const found: Array<Uint8Array> = []
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const size = Math.max(1, sizes[index % sizes.length] ?? 1)
    found.push(bytes.slice(at, at + size))
    at += size
  }
  return found
}

const Payloads = Schema.Array(Schema.NonEmptyArray(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))))
const Sizes = Schema.NonEmptyArray(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 })))

const isThird = (first: number) => first % 3 === 0

const run = (chunks: ReadonlyArray<Uint8Array>, limit: number, isTaken: (first: number) => boolean = () => false) => {
  const decided: Array<ReadonlyArray<number>> = []
  const taken: Array<ReadonlyArray<number>> = []
  const passed: Array<number> = []
  const cutter = new FrameCutter<"taken">(limit, {
    decide: (bytes, start, end) => {
      decided.push([...bytes.subarray(start, end)])
      return isTaken(bytes[start + 4] ?? 0) ? "taken" : undefined
    },
    apply: (_, bytes) => {
      taken.push([...bytes])
    },
    pass: (bytes) => {
      passed.push(...bytes)
    }
  })
  for (const chunk of chunks) cutter.push(chunk)
  return { decided, passed, taken, isRaw: cutter.isRaw }
}

describe("FrameCutter", () => {
  it.prop("frames are found in any pieces, and what is not taken passes in order", [Payloads, Sizes], ([payloads, sizes]) => {
    const frames = payloads.filter(({ length }) => length < 256).map(frame)
    const { decided, isRaw, passed, taken } = run(pieces(Uint8Array.from(frames.flat()), sizes), 1000, isThird)
    assert.deepStrictEqual(decided, frames)
    assert.deepStrictEqual(taken, frames.filter((each) => isThird(each[4] ?? 0)))
    assert.deepStrictEqual(passed, frames.filter((each) => !isThird(each[4] ?? 0)).flat())
    assert.isFalse(isRaw)
  })

  it.prop("what is no frame passes as it is, to the end", [Sizes], ([sizes]) => {
    const bytes = Uint8Array.from([...frame([1, 2]), ...new TextEncoder().encode("ruok"), ...frame([3])])
    const { decided, isRaw, passed } = run(pieces(bytes, sizes), 1000)
    assert.deepStrictEqual(decided, [frame([1, 2])])
    assert.deepStrictEqual(passed, [...bytes])
    assert.isTrue(isRaw)
  })

  it("lengths that are none", () => {
    for (const length of [[0, 0, 0, 0], [255, 255, 255, 255], [0, 0, 4, 0], [127, 255, 255, 255]]) {
      assert.isTrue(run([Uint8Array.from(length)], 1000).isRaw)
    }
  })
})
