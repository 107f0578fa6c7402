/**
 * SHA-1, at once: the platform's own answers with a promise, and a server that
 * is bytes in, bytes out cannot wait. Only for digests in ACLs.
 */

const rotate = (word: number, by: number): number => word << by | word >>> 32 - by

/** The text's UTF-8, padded as SHA-1 wants it. */
const padded = (text: Uint8Array): DataView => {
  const length = text.length
  const bytes = new Uint8Array((length + 8 >> 6) + 1 << 6)
  bytes.set(text)
  bytes[length] = 0x80
  const view = new DataView(bytes.buffer)
  view.setBigUint64(bytes.length - 8, BigInt(length) * 8n)
  return view
}

const sha1 = (text: Uint8Array): Uint8Array => {
  const view = padded(text)
  const words = new Int32Array(80)
  let [h0, h1, h2, h3, h4] = [0x67452301, 0xefcdab89 | 0, 0x98badcfe | 0, 0x10325476, 0xc3d2e1f0 | 0]
  for (let block = 0; block < view.byteLength; block += 64) {
    for (let i = 0; i < 80; i++) {
      words[i] = i < 16 ? view.getInt32(block + 4 * i) : rotate(
        (words[i - 3] ?? 0) ^ (words[i - 8] ?? 0) ^ (words[i - 14] ?? 0) ^ (words[i - 16] ?? 0),
        1
      )
    }
    let [a, b, c, d, e] = [h0, h1, h2, h3, h4]
    for (let i = 0; i < 80; i++) {
      const mixed = i < 20
        ? (b & c | ~b & d) + 0x5a827999
        : i < 40
        ? (b ^ c ^ d) + 0x6ed9eba1
        : i < 60
        ? (b & c | b & d | c & d) + 0x8f1bbcdc
        : (b ^ c ^ d) + 0xca62c1d6
      const next = rotate(a, 5) + mixed + e + (words[i] ?? 0) | 0
      e = d
      d = c
      c = rotate(b, 30)
      b = a
      a = next
    }
    h0 = h0 + a | 0
    h1 = h1 + b | 0
    h2 = h2 + c | 0
    h3 = h3 + d | 0
    h4 = h4 + e | 0
  }
  const out = new DataView(new ArrayBuffer(20))
  for (const [index, word] of [h0, h1, h2, h3, h4].entries()) out.setInt32(4 * index, word)
  return new Uint8Array(out.buffer)
}

/** What an ACL of the scheme `digest` says for credentials `user:password`: `user:base64(sha1(credentials))`. */
export const digestId = (credentials: Uint8Array): string => {
  const text = new TextDecoder().decode(credentials)
  const [user = ""] = text.split(":", 1)
  return `${user}:${btoa(String.fromCharCode(...sha1(credentials)))}`
}
