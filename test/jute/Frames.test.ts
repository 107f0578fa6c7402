import { assert, describe, it } from "@effect/vitest"
import { Frames } from "../../src/jute/Frames.ts"
import * as Jute from "../../src/jute/Jute.ts"
import { bytes } from "./Golden.ts"

type Seen = { readonly frame: string } | { readonly oversize: number; readonly head: string }

const contentOf = (reader: Jute.Reader) =>
  Buffer.from(reader.bytes.subarray(reader.offset, reader.end)).toString("hex")

const collector = (limit: number) => {
  const seen: Array<Seen> = []
  const frames = new Frames(limit, {
    frame: (reader) => seen.push({ frame: contentOf(reader) }),
    oversize: (reader, size) => seen.push({ oversize: size, head: contentOf(reader) })
  })
  return { seen, frames }
}

const payload = (size: number, seed: number) => Uint8Array.from({ length: size }, (_, i) => (i * 7 + seed) % 256)

const framed = (content: Uint8Array) => {
  const length = Buffer.alloc(4)
  length.writeInt32BE(content.length)
  return Buffer.concat([length, content])
}

const limit = 20
const payloads = [1, 16, 5, 20, 21, 3, 4, 33, 2].map(payload)
const stream = Buffer.concat(payloads.map(framed))
const expected = payloads.map((content): Seen => {
  const hex = Buffer.from(content).toString("hex")
  return content.length > limit ? { oversize: content.length, head: hex.slice(0, 32) } : { frame: hex }
})

/** Memory that frames in the making take. */
const gathered = (frames: Frames): number => {
  const memory: unknown = Reflect.get(frames, "gathered")
  assert.instanceOf(memory, Uint8Array)
  return memory.length
}

/** As from a socket whose memory is used again. */
const pushAll = (...parts: ReadonlyArray<Uint8Array>) => {
  const { frames, seen } = collector(limit)
  for (const part of parts) {
    const chunk = Buffer.from(part)
    frames.push(chunk)
    chunk.fill(0xee)
  }
  return seen
}

describe("bytes in any portion", () => {
  it("all at once", () => assert.deepStrictEqual(pushAll(stream), expected))

  it("one byte at a time", () =>
    assert.deepStrictEqual(pushAll(...Array.from(stream, (_, i) => stream.subarray(i, i + 1))), expected))

  it("in parts of any size", () => {
    for (let size = 1; size <= stream.length; size++) {
      const parts = Array.from({ length: Math.ceil(stream.length / size) }, (_, i) =>
        stream.subarray(i * size, (i + 1) * size))
      assert.deepStrictEqual(pushAll(...parts), expected, `parts of ${size}`)
    }
  })

  it("cut twice, at every two bytes, parts without bytes included", () => {
    for (let first = 0; first <= stream.length; first++) {
      for (let second = first; second <= stream.length; second++) {
        const seen = pushAll(stream.subarray(0, first), stream.subarray(first, second), stream.subarray(second))
        if (seen.length !== expected.length) assert.fail(`cut at ${first} and ${second}`)
        assert.deepStrictEqual(seen, expected)
      }
    }
  })

  it("views on larger memory", () => {
    const { frames, seen } = collector(limit)
    const memory = Buffer.concat([Buffer.alloc(13, 0xee), stream, Buffer.alloc(7, 0xee)])
    frames.push(new Uint8Array(memory.buffer, memory.byteOffset + 13, stream.length))
    assert.deepStrictEqual(seen, expected)
  })

  it("buffers that were read outlive the chunk, whole or in parts", () => {
    const content = payload(5000, 1)
    for (const cut of [0, 2, 4, 8, 100, 5007]) {
      const read: Array<Uint8Array> = []
      const frames = new Frames(1 << 20, {
        frame: (reader) => read.push(Jute.layoutOf(Jute.Bytes).read(reader)),
        oversize: () => assert.fail("oversize")
      })
      const chunk = framed(framed(content))
      frames.push(chunk.subarray(0, cut))
      frames.push(chunk.subarray(cut))
      chunk.fill(0xee)
      assert.deepStrictEqual(read, [content])
    }
  })
})

describe("frames beyond the limit", () => {
  it("are skipped, and what follows is read", () => {
    const { frames, seen } = collector(1000)
    const large = payload(1 << 20, 9)
    const bytes = Buffer.concat([framed(large), framed(payload(3, 0))])
    for (let at = 0; at < bytes.length; at += 65536) {
      frames.push(bytes.subarray(at, at + 65536))
      assert.isAtMost(gathered(frames), 16)
    }
    assert.deepStrictEqual(seen, [
      { oversize: large.length, head: Buffer.from(large.subarray(0, 16)).toString("hex") },
      { frame: "00070e" }
    ])
  })

  it("tell the bytes they have when these are fewer than a header", () => {
    const { frames, seen } = collector(4)
    frames.push(framed(payload(10, 0)))
    assert.deepStrictEqual(seen, [{ oversize: 10, head: "00070e151c232a31383f" }])
  })

  it("are those above the limit that holds when they begin", () => {
    const seen: Array<string> = []
    const frames = new Frames(8, {
      // The first frame of a connection is the answer to the handshake.
      frame: (reader) => {
        seen.push(`frame of ${reader.remaining}`)
        frames.limit = 100
      },
      oversize: (_, size) => seen.push(`oversize of ${size}`)
    })
    frames.push(Buffer.concat([9, 8, 100, 101].map((size) => framed(payload(size, 0)))))
    assert.deepStrictEqual(seen, ["oversize of 9", "frame of 8", "frame of 100", "oversize of 101"])
  })
})

describe("memory", () => {
  it("grows with what came, not with what was announced", () => {
    const { frames, seen } = collector(1 << 30)
    const content = payload(4 << 20, 5)
    const bytes = framed(content)
    frames.push(bytes.subarray(0, 14))
    assert.isAtMost(gathered(frames), 1 << 20)
    for (let at = 14; at < bytes.length; at += 100_000) {
      assert.isAtMost(gathered(frames), Math.max(1 << 20, 2 * at))
      frames.push(bytes.subarray(at, at + 100_000))
    }
    assert.strictEqual(gathered(frames), 0)
    assert.deepStrictEqual(seen, [{ frame: Buffer.from(content).toString("hex") }])
  })

  it("is exact for small frames, and none before the first byte", () => {
    const { frames } = collector(1 << 20)
    frames.push(bytes("000003e8"))
    assert.strictEqual(gathered(frames), 0)
    frames.push(bytes("01"))
    assert.strictEqual(gathered(frames), 1000)
  })

  it("is not kept for the largest length there is", () => {
    const { frames } = collector(0x3fff_ffff)
    frames.push(bytes("3fffffff 00"))
    assert.isAtMost(gathered(frames), 1 << 20)
  })
})

describe("what is not ZooKeeper", () => {
  const cases: ReadonlyArray<readonly [what: string, sent: Uint8Array, problem: string]> = [
    ["length 0", bytes("00000000"), "a frame of length 0 is not ZooKeeper's"],
    ["length -1", bytes("ffffffff"), "a frame of length -1 is not ZooKeeper's"],
    ["the smallest length", bytes("80000000"), "a frame of length -2147483648 is not ZooKeeper's"],
    ["a length beyond reason", bytes("40000000"), "a frame of length 1073741824 is not ZooKeeper's"],
    [
      "HTTP",
      Buffer.from("HTTP/1.1 400 Bad Request\r\n"),
      "a frame of length 1213486160 is not ZooKeeper's: the peer sent the text \"HTTP\""
    ],
    [
      "SSH",
      Buffer.from("SSH-2.0-"),
      "a frame of length 1397966893 is not ZooKeeper's: the peer sent the text \"SSH-\""
    ],
    [
      "SMTP",
      Buffer.from("220 mail"),
      "a frame of length 842149920 is not ZooKeeper's: the peer sent the text \"220 \""
    ],
    ["a TLS alert", bytes("15030100020250"), "a frame of length 352518400 is not ZooKeeper's: the peer talks TLS"],
    ["a TLS 1.2 alert", bytes("15030300020246"), "a frame of length 352518912 is not ZooKeeper's: the peer talks TLS"]
  ]

  it.each(cases)("%s is refused with a hint", (_, sent, problem) => {
    for (const before of [new Uint8Array(0), framed(payload(3, 0))]) {
      const glued = Buffer.concat([before, sent])
      for (let cut = before.length; cut < before.length + 4; cut++) {
        const { frames, seen } = collector(4 << 20)
        const push = () => {
          frames.push(glued.subarray(0, cut))
          frames.push(glued.subarray(cut))
        }
        assert.throws(push, Jute.JuteError, problem)
        assert.strictEqual(seen.length, before.length === 0 ? 0 : 1)
        // There is no way back into the stream.
        assert.throws(() => frames.push(framed(payload(3, 0))), Jute.JuteError, problem)
      }
    }
  })

  it("lengths that only look strange pass where the limit allows them", () => {
    for (const length of ["15030100", "20202020", "3fffffff"]) {
      const { frames } = collector(0x3fff_ffff)
      frames.push(bytes(length))
    }
  })
})
