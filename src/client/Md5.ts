/**
 * MD5 as in RFC 1321, for DIGEST-MD5 alone: Web Crypto does not have it, and
 * Node's is switched off where FIPS is on. It protects nothing by itself.
 */
const shifts = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21]

const sines = Int32Array.from({ length: 64 }, (_, index) => Math.floor(Math.abs(Math.sin(index + 1)) * 2 ** 32) | 0)

/** Which word of a block a step reads. */
const wordOf = (step: number): number => {
  switch (step >>> 4) {
    case 0:
      return step
    case 1:
      return (5 * step + 1) & 15
    case 2:
      return (3 * step + 5) & 15
    default:
      return (7 * step) & 15
  }
}

const mix = (step: number, b: number, c: number, d: number): number => {
  switch (step >>> 4) {
    case 0:
      return (b & c) | (~b & d)
    case 1:
      return (d & b) | (~d & c)
    case 2:
      return b ^ c ^ d
    default:
      return c ^ (b | ~d)
  }
}

/** Followed by a one, zeros, and the length in bits. */
const padded = (bytes: Uint8Array): DataView => {
  const size = (bytes.length + 8 >>> 6) + 1 << 6
  const all = new Uint8Array(size)
  all.set(bytes)
  all[bytes.length] = 0x80
  const view = new DataView(all.buffer)
  view.setBigUint64(size - 8, BigInt(bytes.length) * 8n, true)
  return view
}

/** The 16 bytes of the digest. */
export const md5 = (bytes: Uint8Array): Uint8Array => {
  const view = padded(bytes)
  const state = Int32Array.of(0x67452301, 0xefcdab89 | 0, 0x98badcfe | 0, 0x10325476)
  for (let block = 0; block < view.byteLength; block += 64) {
    let [a = 0, b = 0, c = 0, d = 0] = state
    for (let step = 0; step < 64; step++) {
      const sum = a + mix(step, b, c, d) + (sines[step] ?? 0) + view.getInt32(block + 4 * wordOf(step), true) | 0
      const shift = shifts[(step >>> 4) * 4 + (step & 3)] ?? 0
      const turned = b + (sum << shift | sum >>> 32 - shift) | 0
      a = d
      d = c
      c = b
      b = turned
    }
    state.set([(state[0] ?? 0) + a, (state[1] ?? 0) + b, (state[2] ?? 0) + c, (state[3] ?? 0) + d])
  }
  const digest = new DataView(new ArrayBuffer(16))
  state.forEach((word, index) => digest.setInt32(4 * index, word, true))
  return new Uint8Array(digest.buffer)
}

/** In lower case hexadecimal digits. */
export const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")
